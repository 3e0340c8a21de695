//! The plugin for QEMU that counts Oche's instructions: `tests/plugin/count.c`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::build::Built;
use crate::command::run_logged;
use crate::failure::{OrSay, Outcome};
use crate::packages::{ensure, program};
use crate::progress::Task;
use crate::qemu::RAM_BASE;
use crate::run::{image_size, moved_base};
use crate::symbols::Symbols;
use crate::workspace::{Workspace, key};

/// Counted up when this recipe changes.
const RECIPE: &[u8] = b"1";
/// Where QEMU's own first instructions end, and Oche's may begin.
const AFTER_STUB: u64 = RAM_BASE + 0x1000;
/// Where the bundle begins (`qemu/line.rs`): the image is loaded before it.
const BUNDLE: u64 = RAM_BASE + (128 << 20);

/// The plugin, built. The lock has to be held.
pub(crate) fn plugin(workspace: &Workspace) -> Outcome<PathBuf> {
    let source = workspace.root().join("tests/plugin/count.c");
    let text = fs::read(&source).or_say(format_args!("cannot read {}", source.display()))?;
    let key = key(&[RECIPE, &text]);
    let folder = workspace.entry("plugin", &key, |folder| {
        let compiler = [program("cc", "gcc")];
        ensure(workspace, "build the plugin that counts", &compiler)?;
        let log = workspace.folder("log")?.join("plugin.log");
        let _ = fs::remove_file(&log);
        let mut task = Task::start("building the plugin that counts");
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"])
            .args(["-fvisibility=hidden", "-o"])
            .arg(folder.join("count.so"))
            .arg(&source)
            // Where it is no part of the C library, as before glibc 2.34.
            .args(["-ldl", "-lpthread"]);
        run_logged(&mut cc, &log, &mut task)?;
        task.done();
        Ok(())
    })?;
    Ok(folder.join("count.so"))
}

/// The words for QEMU that have it count what Oche does on a machine with so much memory, and write
/// that to `out`.
pub(crate) fn words(plugin: &Path, oche: &Built, memory: u64, out: &Path) -> Outcome<Vec<String>> {
    let image =
        fs::read(&oche.image).or_say(format_args!("cannot read {}", oche.image.display()))?;
    let base = moved_base(&image, memory);
    let end = base.saturating_add(image_size(&image));
    let vectors = base.saturating_add(Symbols::read(&oche.elf)?.address_of("oche_vectors")?);
    // In QEMU's lists a comma is doubled.
    let path = |path: &Path| path.display().to_string().replace(',', ",,");
    Ok(vec![
        "-plugin".into(),
        format!(
            "{},out={},start={AFTER_STUB:x}-{BUNDLE:x},image={base:x}-{end:x},vectors={vectors:x}",
            path(plugin),
            path(out)
        ),
    ])
}
