//! The figures as tables and as a JSON document.

use serde_json::{Value, json};

use crate::{
    Column, SETTING,
    figures::{Row, Target},
    many_sites::ManySites,
    server::{Layer, Product},
};

const NAME: usize = 34;
const CELL: usize = 10;

/// Prints the servers of one layer side by side, with the ratio of aop to the best rival.
pub(crate) fn print(layer: Layer, columns: &[Column]) {
    let columns: Vec<_> = columns.iter().filter(|column| column.layer == layer).collect();
    print!("\n{:<NAME$}", layer.name());
    for column in &columns {
        print!(" {:>CELL$}", column.product.name());
    }
    println!(" {:>CELL$} {:>CELL$}", "aop/best", "target");
    for row in Row::ALL {
        print!("{:<NAME$}", row.name());
        for column in &columns {
            let figure = column.figures.get(row);
            match figure.is_finite() {
                true => print!(" {figure:>CELL$.1}"),
                false => print!(" {:>CELL$}", "–"),
            }
        }
        let ratio = ratio(row, layer, &columns).filter(|ratio| ratio.is_finite());
        let ratio = ratio.map(|ratio| format!("{ratio:.2}"));
        let target = match row.target(layer) {
            Some(Target::Ratio(most)) => format!("≤ {most:.2}"),
            Some(Target::Kibibytes(most)) => format!("≤ {most} KiB"),
            Some(Target::Count(most)) => format!("≤ {most}"),
            None => String::new(),
        };
        println!(" {:>CELL$} {target:>CELL$}", ratio.unwrap_or_default());
    }
}

/// aop's figure divided by the least figure of its rivals, if there is one.
fn ratio(row: Row, layer: Layer, columns: &[&Column]) -> Option<f64> {
    let of = |aop: bool| {
        let columns = columns.iter().filter(move |column| column.layer == layer);
        let columns = columns.filter(move |column| (column.product == Product::Aop) == aop);
        columns.map(|column| column.figures.get(row)).reduce(f64::min)
    };
    Some(of(true)? / of(false)?)
}

/// The same as JSON: `{layer: {figures: {product: {row: figure}}, …}}`.
pub(crate) fn json(columns: &[Column], sites: Option<&ManySites>) -> Value {
    let layers = Layer::ALL.map(|layer| {
        let columns = columns.iter().filter(|column| column.layer == layer);
        let products =
            columns.map(|column| (column.product.name().to_owned(), column.figures.json()));
        (layer.name().to_owned(), Value::Object(products.collect()))
    });
    let servers = serde_json::Map::from_iter(layers);
    json!({ "setting": SETTING, "servers": servers, "sites": sites.map(ManySites::json) })
}
