//! The table's file: one line per word, in the order of `words()`; runs of words that do not decode are one line.

/// Writes the table.
pub(crate) fn write(lines: &[Option<String>]) -> String {
    let (mut text, mut undefined) = (String::new(), 0_usize);
    for line in lines.iter().chain([&Some(String::new())]) {
        match line {
            None => undefined += 1,
            Some(line) => {
                if undefined != 0 {
                    text.push_str(&format!("-{undefined}\n"));
                    undefined = 0;
                }
                if !line.is_empty() {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
    }
    text
}

/// Reads what [`write`] wrote.
pub(crate) fn read(text: &str) -> Vec<Option<String>> {
    let mut lines = Vec::new();
    for line in text.lines() {
        match line.strip_prefix('-').map(str::parse::<usize>) {
            Some(Ok(undefined)) => lines.extend((0..undefined).map(|_| None)),
            _ => lines.push(Some(line.to_owned())),
        }
    }
    lines
}
