//! `walk`: types the commands of the documents, as they stand, on booted Debian systems.
//!
//! Each document gets a machine of its own. Around the machine are an edge with Cloudflare's
//! addresses, a visitor behind it, a monitor and a stranger. `plans` says what happens to each
//! block of each document.

#[expect(dead_code, unreachable_pub, reason = "the end-to-end tests use the same reader")]
#[path = "../../tests/src/page.rs"]
mod page;
mod peer;
mod plan;
mod plans;
mod root;
mod session;
mod world;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use plan::Plan;
use plans::PLANS;
use session::{Score, Session};
use world::World;

use crate::{
    booted::{Layer, Machine},
    debian::Release,
    packages,
    privilege::Privilege,
    workspace,
};

#[derive(clap::Args)]
pub(crate) struct Walk {
    /// The release of Debian [default: both]
    release: Option<Release>,
    /// The package to install [default: the one in target/release/dist]
    #[arg(long, value_name = "FILE")]
    package: Option<PathBuf>,
    /// Also show what each block printed
    #[arg(long)]
    verbose: bool,
    /// Documents, such as cut-over [default: all that are walked]
    #[arg(last = true)]
    documents: Vec<String>,
}

pub(crate) fn run(walk: &Walk) -> Result<()> {
    ensure!(Privilege::current()?.is_root(), "a machine needs root: run this as root");
    packages::ensure_for(&packages::MACHINES)?;
    let plans = chosen(&walk.documents)?;
    let package = walk.package.clone().map_or_else(built, Ok)?;
    let folder = workspace::target().join("walk");
    fs::create_dir_all(&folder)?;
    let mut failed = 0;
    for release in Release::ALL {
        if walk.release.is_some_and(|only| only != release) {
            continue;
        }
        let base = root::RECIPE.base(release)?;
        let mut score = Score::default();
        for plan in &plans {
            println!("{release}: {}{}", plan.document, plan.variant);
            match one(plan, &base, &folder, &package, walk.verbose) {
                Ok(one) => score.add(&one),
                Err(error) => {
                    println!("{}{}: FAILED: {error:#}", plan.document, plan.variant);
                    score.failed += 1;
                }
            }
        }
        println!("{release}: {score}");
        failed += score.failed;
    }
    ensure!(failed == 0, "{failed} failed");
    Ok(())
}

/// Walks one document on a machine of its own.
fn one(plan: &Plan, base: &Path, folder: &Path, package: &Path, verbose: bool) -> Result<Score> {
    let world = World::make(folder)?;
    let machine = Machine::boot(Layer::over(base, "origin")?, &world::MACHINE)?;
    let sources = machine.path("/root/target/release/dist");
    fs::create_dir_all(&sources)?;
    fs::copy(package, sources.join(package.file_name().context("no file")?))
        .with_context(|| format!("cannot read {}", package.display()))?;
    Session::new(world, machine, verbose).walk(plan)
}

fn chosen(documents: &[String]) -> Result<Vec<&'static Plan>> {
    if let Some(name) = documents.iter().find(|name| !PLANS.iter().any(|plan| plan.is_called(name)))
    {
        let known: Vec<_> = PLANS.iter().map(|plan| plan.document).collect();
        bail!("no plan for {name}; there are {}", known.join(", "));
    }
    let wanted =
        |plan: &&Plan| documents.is_empty() || documents.iter().any(|name| plan.is_called(name));
    Ok(PLANS.iter().filter(wanted).collect())
}

/// The package that `dist` built.
fn built() -> Result<PathBuf> {
    let folder = workspace::target().join("release/dist");
    let entries = fs::read_dir(&folder).into_iter().flatten();
    let mut packages = entries.filter_map(|entry| Some(entry.ok()?.path()));
    packages
        .find(|path| path.to_string_lossy().ends_with("_amd64.deb"))
        .with_context(|| format!("no package in {}: run `cargo xtask dist`", folder.display()))
}
