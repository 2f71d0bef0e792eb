//! What a terminator costs, aop's beside those one would use instead, in one run.
//!
//! Each server has the same certificates, TLS 1.3 with one cipher suite and one group, a client
//! certificate required and verified, no resumption, no access log, two workers, and the same
//! upstream. What is done one after the other is done on one CPU. CPU time is of all the server's processes and holds on a busy machine better than wall
//! time; each figure is the least of several rounds, in each of which every server is started anew.
//! All speak over the loopback of one namespace, aop's firewall off: packets in transit cost all the
//! same. Needs root. `AOP_BENCH_JSON` names the file for the figures.
//!
//! Arguments: the names of the products that take part, all when none is given, and a number: the
//! rounds.
#![allow(missing_docs, clippy::print_stdout, reason = "a benchmark")]

mod aop;
mod client;
mod figures;
mod haproxy;
mod hitch;
mod many_sites;
mod measure;
mod nginx;
mod processes;
mod rival;
mod server;

mod table;

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use aop_tests::{Upstream, World};
use figures::Figures;
use many_sites::Sites;
use server::{Layer, Product, Server};

/// The certificates' algorithm is that of the world's PKI.
const SETTING: &str = "TLS 1.3, AES-256-GCM, X25519, ECDSA P-256, loopback";
const ROUNDS: u32 = 3;

/// What the arguments choose.
struct Choice {
    products: Vec<Product>,
    rounds: u32,
}

fn main() -> Result<()> {
    let Choice { products, rounds } = Choice::of(std::env::args().skip(1))?;
    let world = World::new()?;
    let upstream = Upstream::start(&world)?;
    let others = [upstream.process()];
    let mut columns = Vec::new();
    for &product in &products {
        match product.version() {
            Ok(version) => {
                println!("{product}: {version}");
                columns.extend(Column::of(product, &world)?);
            }
            Err(why) => println!("{product}: {why:#}: left out"),
        }
    }
    for _ in 0..rounds {
        for column in &mut columns {
            let server = Server::start(column.product, &world, column.layer)?;
            let round = measure::round(&world, &server, &others).with_context(|| server.log())?;
            column.figures.keep_least(round);
        }
    }
    println!("{SETTING}; the least of {rounds} rounds; load {}", load()?);
    for layer in Layer::BOTH {
        table::print(layer, &columns);
    }
    let sites = match products.contains(&Product::Aop) {
        true => Some(many_sites::measure(&world, &others)?),
        false => None,
    };
    sites.iter().for_each(Sites::print);
    let Some(path) = std::env::var_os("AOP_BENCH_JSON").map(PathBuf::from) else { return Ok(()) };
    fs::create_dir_all(path.with_file_name(""))?;
    fs::write(&path, format!("{:#}\n", table::json(&columns, sites.as_ref())))?;
    println!("\nfigures: {}", path.display());
    Ok(())
}

impl Choice {
    fn of(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut chosen = Self { products: Vec::new(), rounds: ROUNDS };
        // cargo gives options of its own.
        for argument in arguments.filter(|argument| !argument.starts_with('-')) {
            let named = Product::ALL.into_iter().find(|product| product.name() == argument);
            match named {
                Some(product) => chosen.products.push(product),
                None => {
                    chosen.rounds = argument.parse().with_context(|| {
                        format!("{argument}: neither a product nor a number of rounds")
                    })?;
                }
            }
        }
        if chosen.products.is_empty() {
            chosen.products.extend(Product::ALL);
        }
        Ok(chosen)
    }
}

/// The mean number of runnable threads, over one, five and fifteen minutes.
fn load() -> Result<String> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').take(3).collect::<Vec<_>>().join(" "))
}

/// A server and what was measured of it.
struct Column {
    product: Product,
    layer: Layer,
    figures: Figures,
}

impl Column {
    /// Those of a product. Says of a rival that does not start why it is left out.
    fn of(product: Product, world: &World) -> Result<Vec<Self>> {
        let mut columns = Vec::new();
        for &layer in product.layers() {
            match Server::start(product, world, layer) {
                Err(why) if product != Product::Aop => {
                    println!("{product} {}: {why:#}: left out", layer.name());
                }
                started => {
                    drop(started?);
                    columns.push(Self { product, layer, figures: Figures::default() });
                }
            }
        }
        Ok(columns)
    }
}
