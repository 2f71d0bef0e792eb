//! `page`: the tests of the pages with a browser, Debian's Chromium. Not part of `ci`: the
//! browser has 300 MB.

use anyhow::{Result, bail};

use crate::{
    command,
    launch::{self, AOP_BIN, Profile},
    object, packages,
    privilege::Privilege,
    workspace,
};

/// Names the browser for the test, and the folder for its screenshots.
const BROWSER: &str = "AOP_BROWSER";
const SCREENSHOTS: &str = "AOP_SCREENSHOTS";

pub(crate) fn run() -> Result<()> {
    if !Privilege::current()?.is_root() {
        bail!("the tests load programs and make network namespaces; run them as root");
    }
    packages::ensure_for(&packages::BROWSER)?;
    let Some(browser) = command::find("chromium") else {
        bail!("there is no chromium; install it (Debian package chromium)");
    };
    object::refresh()?;
    let folder = launch::build(Profile::Debug, &["aop"])?;
    let screenshots = workspace::target().join("page");
    let mut cargo = command::cargo("test");
    cargo.args(["--test", "e2e", "--", "status_page", "fleet::page", "--test-threads=2"]);
    cargo.env(AOP_BIN, folder.join("aop")).env(BROWSER, browser).env(SCREENSHOTS, &screenshots);
    command::run(&mut cargo)?;
    println!("the screenshots are in {}", workspace::short(&screenshots));
    Ok(())
}
