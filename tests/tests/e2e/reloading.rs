//! How a reload is requested, and what it applies: a whole new configuration or nothing.

mod all_or_nothing;
mod command_and_signals;
mod watched_files;
