//! Patterns of host names.

use aop_config::FleetName;
use glob::Pattern;

/// Whether `name` fits `pattern`, in which `*` stands for any characters and `?` for one. A pattern
/// that cannot be read fits nothing.
#[must_use]
pub fn fits(pattern: &str, name: &FleetName) -> bool {
    Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(name.as_str()))
}
