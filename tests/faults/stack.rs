//! Servers of the campaign's own, so that its broker may be killed without harm to anybody.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::harness::wait_for;

/// A broker and a registry; they are stopped when this is dropped, and their data goes if `forget` was said before.
pub struct Stack {
    folder: PathBuf,
    variables: Vec<(&'static str, String)>,
    /// The broker, `host:port`.
    pub kafka: String,
    /// The broker's way in for the proxy.
    pub proxied: String,
    /// The registry's address.
    pub registry: String,
}

impl Stack {
    /// Starts them on free ports, their data in `folder`; `proxy`: the port that proxied clients are sent to.
    pub fn up(folder: &Path, proxy: u16, fresh: bool) -> Self {
        let [kafka, controller, proxied, registry] = free_ports();
        let variables = vec![
            ("KAFKA_PORT", kafka.to_string()),
            ("KAFKA_CONTROLLER_PORT", controller.to_string()),
            ("KAFKA_PROXIED", format!("{proxied}:{proxy}")),
            ("REGISTRY_PORT", registry.to_string()),
        ];
        let stack = Self {
            folder: folder.into(),
            variables,
            kafka: format!("127.0.0.1:{kafka}"),
            proxied: format!("127.0.0.1:{proxied}"),
            registry: format!("http://127.0.0.1:{registry}/apis/ccompat/v7"),
        };
        // What an earlier campaign left running when it was killed itself.
        stack.script("down", if fresh { &["--wipe"] } else { &[] });
        stack.script("up", &["kafka", "registry"]);
        stack
    }

    fn script(&self, name: &str, arguments: &[&str]) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stack").join(name);
        let mut command = Command::new(script);
        command.args(arguments).env("STACK_HOME", home(&self.folder));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let status = command.status().expect("a script of tests/stack runs");
        assert!(status.success(), "tests/stack/{name} failed");
    }

    /// Ends the broker with SIGKILL.
    pub fn kill_broker(&self) {
        let file = std::fs::read_to_string(home(&self.folder).join("pid/kafka")).expect("the broker's pid");
        let pid = file.split_whitespace().next().expect("a pid");
        assert!(Command::new("kill").args(["-9", pid]).status().expect("kill runs").success());
        // It takes a moment to die, and until then would be taken for a broker that is up.
        wait_for("the broker's end", Duration::from_secs(30), || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z')).then_some(())
        });
    }

    /// Starts it again, with its data.
    pub fn revive_broker(&self) {
        self.script("up", &["kafka"]);
    }

    /// Stops them and removes their data.
    pub fn wipe(&self) {
        self.script("down", &["--wipe"]);
    }
}

/// Stops what was started with its data in `folder`.
pub fn stop(folder: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stack/down");
    // The process ends after this: nobody is left to tell.
    let _ = Command::new(script).env("STACK_HOME", home(folder)).status();
}

fn home(folder: &Path) -> PathBuf {
    folder.join("stack")
}

impl Drop for Stack {
    fn drop(&mut self) {
        stop(&self.folder);
    }
}

/// Ports that nobody listens at: all held at once, so that they differ.
fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|listener| listener.local_addr().expect("an address").port())
}
