//! The cost of a terminator: aop compared with the servers that one would use instead.
//!
//! Each server has the same certificates, TLS 1.3 with one cipher suite and one group, a required
//! and verified client certificate, no resumption, no access log, two workers, and the same
//! upstream. Sequential work runs on one CPU. CPU time is the sum over all processes of the server.
//! On a busy machine it is more reliable than wall time. Each figure is the least of several
//! rounds, and each round starts every server again. All traffic is on the loopback of one
//! namespace, and aop's firewall is off: packets cost the same for all servers. Needs root.
//! `AOP_BENCH_JSON` names the file for the figures.
//!
//! Arguments: the names of the products and of the layers to measure (default: all), and the number
//! of rounds.
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
mod streams;

mod table;

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use aop_tests::{Lab, TestUpstream};
use figures::Measurements;
use many_sites::ManySites;
use server::{Layer, Product, Server};

/// The algorithm of the certificates is that of the lab's PKI.
const SETTING: &str = "TLS 1.3, AES-256-GCM, X25519, ECDSA P-256, loopback";
const ROUNDS: u32 = 3;

/// The choice that the arguments make.
struct Choice {
    products: Vec<Product>,
    layers: Vec<Layer>,
    rounds: u32,
}

fn main() -> Result<()> {
    let Choice { products, layers, rounds } = Choice::of(std::env::args().skip(1))?;
    let lab = Lab::new()?;
    let upstream = TestUpstream::start(&lab)?;
    let h2c = nginx::start_h2c_upstream(&lab);
    if let Err(why) = &h2c {
        println!("no upstream for h2c: {why:#}");
    }
    let mut others = vec![upstream.process()];
    if let Ok(rival) = &h2c {
        others.extend(rival.process().with_descendants()?);
    }
    let mut columns = Vec::new();
    for &product in &products {
        match product.version() {
            Ok(version) => {
                println!("{product}: {version}");
                columns.extend(Column::of(product, &layers, &lab)?);
            }
            Err(why) => println!("{product}: {why:#}: left out"),
        }
    }
    for _ in 0..rounds {
        for column in &mut columns {
            let server = Server::start(column.product, &lab, column.layer)?;
            let round = measure::round(&lab, &server, &others, column.layer)
                .with_context(|| server.log())?;
            column.figures.keep_least(round);
        }
    }
    println!("{SETTING}; the least of {rounds} rounds; load {}", load()?);
    for &layer in &layers {
        table::print(layer, &columns);
    }
    let sites = match products.contains(&Product::Aop) && layers == Layer::ALL {
        true => Some(many_sites::measure(&lab, &others)?),
        false => None,
    };
    sites.iter().for_each(ManySites::print);
    let Some(path) = std::env::var_os("AOP_BENCH_JSON").map(PathBuf::from) else { return Ok(()) };
    fs::create_dir_all(path.with_file_name(""))?;
    fs::write(&path, format!("{:#}\n", table::json(&columns, sites.as_ref())))?;
    println!("\nfigures: {}", path.display());
    Ok(())
}

impl Choice {
    fn of(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut chosen = Self { products: Vec::new(), layers: Vec::new(), rounds: ROUNDS };
        // cargo adds its own options.
        for argument in arguments.filter(|argument| !argument.starts_with('-')) {
            let product = Product::ALL.into_iter().find(|product| product.name() == argument);
            let layer = Layer::ALL.into_iter().find(|layer| layer.name() == argument);
            match (product, layer) {
                (Some(product), _) => chosen.products.push(product),
                (None, Some(layer)) => chosen.layers.push(layer),
                (None, None) => {
                    chosen.rounds = argument.parse().with_context(|| {
                        format!("{argument}: no product, no layer and no number of rounds")
                    })?;
                }
            }
        }
        if chosen.layers.is_empty() {
            chosen.layers.extend(Layer::ALL);
        }
        if chosen.products.is_empty() {
            chosen.products.extend(Product::ALL);
        }
        Ok(chosen)
    }
}

/// The mean number of runnable threads over one, five and fifteen minutes.
fn load() -> Result<String> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').take(3).collect::<Vec<_>>().join(" "))
}

/// A server and its measurements.
struct Column {
    product: Product,
    layer: Layer,
    figures: Measurements,
}

impl Column {
    /// The columns of a product. Prints why a rival that does not start is left out.
    fn of(product: Product, layers: &[Layer], lab: &Lab) -> Result<Vec<Self>> {
        let mut columns = Vec::new();
        for &layer in product.layers().iter().filter(|layer| layers.contains(layer)) {
            match Server::start(product, lab, layer) {
                Err(why) if product != Product::Aop => {
                    println!("{product} {}: {why:#}: left out", layer.name());
                }
                started => {
                    drop(started?);
                    columns.push(Self { product, layer, figures: Measurements::default() });
                }
            }
        }
        Ok(columns)
    }
}
