//! The name of a new directory: what is in it can be as durable as it likes, with the power its name is lost until the directory above
//! was synced. Those that are inside are made durable by whoever makes them.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Makes the names of a directory and of those above it durable, up to the root of the file system. Whoever made them is not known: the
/// store is rarely the first that is kept in a directory of state.
pub(super) fn keep(dir: &Path) -> io::Result<()> {
    let dir = fs::canonicalize(dir)?;
    let system = dir.metadata()?.dev();
    for above in dir.ancestors().skip(1) {
        let opened = match File::open(above) {
            Ok(opened) => opened,
            // What may not be read is not ours, and neither is what stands above it.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(()),
            Err(error) => return Err(error),
        };
        if opened.metadata()?.dev() != system {
            return Ok(());
        }
        match opened.sync_all() {
            // There are file systems that cannot, and keep names by themselves.
            Err(error) if error.kind() == ErrorKind::InvalidInput => {}
            synced => synced?,
        }
    }
    Ok(())
}
