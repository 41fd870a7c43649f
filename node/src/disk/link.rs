//! A second name for a file that is ours: hard links between folders of one file system.

use rustix::fs::AtFlags;

use opendag_protocol::DatasetPath;

use super::{Confined, DiskError, confined::Missing, temp_name};

impl Confined {
    /// Gives a file below another folder a temporary name right below this one. Whatever is written into one name is
    /// in the other, so neither may ever be written to.
    ///
    /// # Errors
    /// [`DiskError::Io`], also where the file system has no hard links, or the file has too many.
    pub fn link_temp(&self, from: &Self, path: &DatasetPath) -> Result<String, DiskError> {
        let name = temp_name();
        let (folder, last) = from.walk(path, Missing::Fail)?;
        rustix::fs::linkat(&folder, last, self, &name, AtFlags::empty())
            .map_err(DiskError::os("link to", &self.path().join(&name)))?;
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn p3_a_link_follows_no_symlink_and_names_one_file() {
        let home = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| home.path().join(name));
        let (from, to) = (
            Confined::create(&from).unwrap(),
            Confined::create(&to).unwrap(),
        );
        fs::create_dir(from.path().join("folder")).unwrap();
        fs::write(from.path().join("folder/file"), b"bytes").unwrap();
        fs::write(home.path().join("outside"), b"secret").unwrap();
        std::os::unix::fs::symlink(home.path(), from.path().join("way")).unwrap();
        let path = |text| DatasetPath::parse(text).unwrap();
        let name = to.link_temp(&from, &path("folder/file")).unwrap();
        assert_eq!(fs::read(to.path().join(name)).unwrap(), b"bytes");
        for bad in ["way/outside", "folder/missing"] {
            to.link_temp(&from, &path(bad)).unwrap_err();
        }
        assert_eq!(to.names().unwrap().len(), 1);
    }
}
