//! Random numbers from a seed.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// ChaCha with 8 rounds: named, since rand's `StdRng` may become another algorithm with any release, and a seed should go on
/// meaning the same events.
#[derive(Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number from 0 to `bound` - 1, each as likely as the others; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.random_range(0..bound.max(1))
    }

    /// A whole number between two, both included; the first if they are in the wrong order.
    pub fn whole(&mut self, least: i64, greatest: i64) -> i64 {
        self.0.random_range(least..=greatest.max(least))
    }

    /// Whether something happens that does in this share of cases, from 0 to 1. Of what never happens, no number is drawn.
    pub fn happens(&mut self, share: f64) -> bool {
        share >= 1.0 || share > 0.0 && self.real(0.0, 1.0) < share
    }

    /// A real number between two, both included, in 2^53 even steps.
    pub fn real(&mut self, least: f64, greatest: f64) -> f64 {
        let share = self.below(1 << 53) as f64 / ((1_u64 << 53) - 1) as f64;
        // Not `least + share * (greatest - least)`: that may miss `greatest`, and the difference may overflow.
        (least * (1.0 - share) + greatest * share).max(least).min(greatest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_come_up_and_all_between_are_as_likely() {
        let mut random = Random::new(1);
        let mut seen = [0_u32; 901];
        for _ in 0..901_000 {
            seen[usize::try_from(random.whole(100, 1000) - 100).unwrap()] += 1;
        }
        // 1000 each, standard deviation 32; chi-square over 900 degrees of freedom: 900, standard deviation 42.
        let chi: f64 = seen.iter().map(|&n| (f64::from(n) - 1000.0).powi(2) / 1000.0).sum();
        assert!(seen.iter().all(|&n| n > 800) && (700.0..1100.0).contains(&chi), "{chi}");
        assert_eq!(random.whole(5, 5), 5);
        random.whole(i64::MIN, i64::MAX);
    }

    #[test]
    fn real_numbers_stay_between_their_ends() {
        let mut random = Random::new(1);
        let all: Vec<f64> = (0..10_000).map(|_| random.real(-1.5, 2.5)).collect();
        assert!(all.iter().all(|x| (-1.5..=2.5).contains(x)));
        assert!((all.iter().sum::<f64>() / 10_000.0 - 0.5).abs() < 0.05);
        assert!((0..10_000).all(|_| (0.1..=0.1).contains(&random.real(0.1, 0.1))));
        assert!(random.real(f64::MIN, f64::MAX).is_finite());
    }
}
