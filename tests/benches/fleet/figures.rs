//! The figures as a table and as a JSON document.

use serde_json::{Value, json};

const NAME: usize = 54;

/// The figures, in the order of the measurement.
#[derive(Default)]
pub(crate) struct Figures(Vec<Figure>);

struct Figure {
    name: String,
    unit: &'static str,
    value: f64,
}

impl Figures {
    /// Adds a figure, and prints it at once.
    pub(crate) fn add(&mut self, name: &str, unit: &'static str, value: f64) {
        let digits = if value.fract() == 0.0 || value >= 1000.0 { 0 } else { 2 };
        println!("{name:<NAME$} {value:>10.digits$} {unit}");
        self.0.push(Figure { name: name.to_owned(), unit, value });
    }

    /// `{name: {value, unit}}`.
    pub(crate) fn json(&self) -> Value {
        let figure = |it: &Figure| (it.name.clone(), json!({"value": it.value, "unit": it.unit}));
        Value::Object(self.0.iter().map(figure).collect())
    }
}
