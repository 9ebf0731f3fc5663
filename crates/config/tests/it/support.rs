//! A folder, an environment and a file to load.

#![expect(clippy::unwrap_used, reason = "the tests' helpers, not inside a #[test]")]

use std::path::{Path, PathBuf};

use config::{Environment, Inputs, Loaded, Machine, Overrides, Platforms, Problems, Role, load};

pub(crate) struct Case {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) inputs: Inputs,
}

impl Case {
    /// No file, no environment but `HOME`.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let inputs = Inputs {
            role: Role::All,
            file: None,
            env: Environment::from_iter([("HOME", "/home/me")]),
            overrides: Overrides::default(),
            cwd: dir.path().to_owned(),
            platforms: Platforms::known(),
            machine: Machine {
                is_root: false,
                run_dir_writable: false,
                system_config: dir.path().join("etc/config.yaml"),
            },
        };
        Self { dir, inputs }
    }

    /// With `text` in `config.yaml`.
    pub(crate) fn yaml(text: &str) -> Self {
        Self::new().file("config.yaml", text)
    }

    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn env(mut self, variables: &[(&str, &str)]) -> Self {
        let home = [("HOME", "/home/me")];
        self.inputs.env = home.iter().chain(variables).copied().collect();
        self
    }

    pub(crate) fn role(mut self, role: Role) -> Self {
        self.inputs.role = role;
        self
    }

    pub(crate) fn flags(mut self, overrides: Overrides) -> Self {
        self.inputs.overrides = overrides;
        self
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn load(&self) -> Result<Loaded, Problems> {
        load(&self.inputs)
    }

    #[track_caller]
    pub(crate) fn good(&self) -> Loaded {
        match self.load() {
            Ok(loaded) => loaded,
            Err(problems) => panic!("refused:\n{problems}"),
        }
    }

    /// What is wrong, line by line.
    #[track_caller]
    pub(crate) fn bad(&self) -> Vec<String> {
        match self.load() {
            Ok(loaded) => panic!("loads:\n{}", loaded.settings.effective_yaml()),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }
}
