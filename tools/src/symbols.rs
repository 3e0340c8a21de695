//! What is where in an ELF: names for addresses.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use object::{Object, ObjectSymbol, SymbolKind};

use crate::failure::{Failure, OrSay, Outcome};

/// The functions and labels of a program, by address.
pub(crate) struct Symbols(BTreeMap<u64, String>);

impl Symbols {
    /// Those of an ELF file.
    pub(crate) fn read(elf: &Path) -> Outcome<Self> {
        let bytes = fs::read(elf).or_say(format_args!("cannot read {}", elf.display()))?;
        let file =
            object::File::parse(&*bytes).or_say(format_args!("cannot read {}", elf.display()))?;
        let mut names = BTreeMap::new();
        for symbol in file.symbols() {
            let code = match symbol.kind() {
                SymbolKind::Text => true,
                // Labels of assembly, but not the marks between code and data (`$x`, `$d`).
                SymbolKind::Unknown => symbol.section_index().is_some(),
                _ => false,
            };
            let Ok(name) = symbol.name() else { continue };
            if !code || name.is_empty() || name.starts_with('$') {
                continue;
            }
            let name = addr2line::demangle_auto(name.into(), None).into_owned();
            // Of several names for one place, that of a function is better than a label's.
            match symbol.kind() {
                SymbolKind::Text => {
                    names.insert(symbol.address(), name);
                }
                _ => {
                    names.entry(symbol.address()).or_insert(name);
                }
            }
        }
        Ok(Symbols(names))
    }

    /// Where the symbol with that name is.
    pub(crate) fn address_of(&self, name: &str) -> Outcome<u64> {
        self.0
            .iter()
            .find(|(_, other)| *other == name)
            .map(|(address, _)| *address)
            .ok_or_else(|| Failure::new(format!("the image has no symbol `{name}`")))
    }

    /// The symbol at or before an address, and the distance from it.
    pub(crate) fn name_of(&self, address: u64) -> Option<(&str, u64)> {
        let (start, name) = self.0.range(..=address).next_back()?;
        Some((name, address.saturating_sub(*start)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_the_symbol_before_it() {
        let symbols = Symbols([(0x10, "a".to_string()), (0x20, "b".to_string())].into());
        assert_eq!(symbols.name_of(0xf), None);
        assert_eq!(symbols.name_of(0x1f), Some(("a", 0xf)));
        assert_eq!(symbols.name_of(0x20), Some(("b", 0)));
        assert_eq!(symbols.address_of("b"), Ok(0x20));
    }
}
