//! Random numbers by an algorithm that stands here, so that no update of a library changes what a seed makes.

/// SplitMix64 (Steele, Lea and Flood 2014; Java's `SplittableRandom`): one addition and a mix a number, any seed is good.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound` - 1, each as likely as the others (Lemire 2019); 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let mut product = u128::from(self.bits()) * u128::from(bound);
        if (product as u64) < bound {
            // The few products in the unfair rest are thrown away.
            let unfair = bound.wrapping_neg() % bound;
            while (product as u64) < unfair {
                product = u128::from(self.bits()) * u128::from(bound);
            }
        }
        (product >> 64) as u64
    }

    /// A whole number between two, both included.
    pub fn whole(&mut self, least: i64, greatest: i64) -> i64 {
        let steps = greatest.wrapping_sub(least) as u64;
        let above = if steps == u64::MAX { self.bits() } else { self.below(steps + 1) };
        least.wrapping_add_unsigned(above)
    }

    /// A real number between two, both included, in 2^53 even steps.
    pub fn real(&mut self, least: f64, greatest: f64) -> f64 {
        let share = (self.bits() >> 11) as f64 / ((1_u64 << 53) - 1) as f64;
        // Not `least + share * (greatest - least)`: that may miss `greatest`, and the difference may overflow.
        (least * (1.0 - share) + greatest * share).max(least).min(greatest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_algorithm_is_splitmix64() {
        // The reference implementation's first numbers for the seed 1234567.
        let mut random = Random::new(1_234_567);
        assert_eq!([random.bits(), random.bits()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

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
