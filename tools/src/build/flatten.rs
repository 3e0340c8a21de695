//! ELF to flat binary: the loadable segments at their distances from the first.

use object::{Object, ObjectSegment};

/// The largest flat binary: an ELF with segments far apart would otherwise fill the disk.
const LIMIT: u64 = 64 << 20;

/// What a loader puts into memory. Memory after the last byte of the file (BSS) is not in it.
pub(crate) fn flatten(elf: &[u8]) -> Result<Vec<u8>, String> {
    let file = object::File::parse(elf).map_err(|error| error.to_string())?;
    let mut segments = Vec::new();
    for segment in file.segments() {
        let data = segment.data().map_err(|error| error.to_string())?;
        if !data.is_empty() {
            segments.push((segment.address(), data));
        }
    }
    let start = segments
        .iter()
        .map(|(address, _)| *address)
        .min()
        .ok_or("no loadable segments")?;
    let mut flat = Vec::new();
    for (address, data) in segments {
        let offset = address.saturating_sub(start);
        let end = offset.saturating_add(data.len() as u64);
        if end > LIMIT {
            return Err("its segments are too far apart".into());
        }
        let range = usize::try_from(offset).unwrap_or(0)..usize::try_from(end).unwrap_or(0);
        if flat.len() < range.end {
            flat.resize(range.end, 0);
        }
        flat[range].copy_from_slice(data);
    }
    Ok(flat)
}
