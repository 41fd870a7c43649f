//! What was measured, as text and as JSON.

use serde_json::{Map, Value, json};

use crate::stats::{Goal, median, short};

/// Bytes in a mebibyte, for printing.
const MIB: f64 = 1024.0 * 1024.0;

/// What one workload measured.
pub(crate) struct Report {
    /// Its name, such as `B2`.
    pub(crate) workload: String,
    /// What it is, in a few words with its size.
    pub(crate) title: String,
    /// A line of figures per peer.
    pub(crate) rows: Vec<Row>,
    /// The goals of the issue.
    pub(crate) goals: Vec<Goal>,
    /// What was not run, and why; what has to be known about the figures.
    pub(crate) notes: Vec<String>,
}

/// The runs of one peer.
pub(crate) struct Row {
    /// The peer, or a variant of it.
    pub(crate) name: String,
    /// Its runs in the order of the rounds.
    pub(crate) runs: Vec<Run>,
}

/// One run: figures by name, the same names in each run of a workload.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    figures: Vec<(&'static str, f64)>,
}

impl Run {
    /// Adds a figure; the name ends with its unit.
    pub(crate) fn with(mut self, name: &'static str, value: f64) -> Self {
        self.figures.push((name, value));
        self
    }

    fn get(&self, name: &str) -> Option<f64> {
        let mut figures = self.figures.iter();
        figures.find_map(|(known, value)| (*known == name).then_some(*value))
    }
}

impl Row {
    /// A row without runs.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            runs: Vec::new(),
        }
    }

    /// The median of one figure over all runs that have it.
    pub(crate) fn median(&self, figure: &str) -> Option<f64> {
        let values: Vec<f64> = self.runs.iter().filter_map(|run| run.get(figure)).collect();
        median(&values)
    }

    /// The largest of one figure over all runs that have it: for what must never happen.
    pub(crate) fn worst(&self, figure: &str) -> Option<f64> {
        let values = self.runs.iter().filter_map(|run| run.get(figure));
        values.max_by(f64::total_cmp)
    }
}

impl Report {
    /// A report without figures.
    pub(crate) fn new(workload: &str, title: impl Into<String>) -> Self {
        Self {
            workload: workload.to_owned(),
            title: title.into(),
            rows: Vec::new(),
            goals: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The row of this name.
    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// The median of a figure of a row.
    pub(crate) fn median(&self, row: &str, figure: &str) -> Option<f64> {
        self.row(row)?.median(figure)
    }

    fn figures(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for (name, _) in self
            .rows
            .iter()
            .flat_map(|row| &row.runs)
            .flat_map(|run| &run.figures)
        {
            if !names.contains(name) {
                names.push(*name);
            }
        }
        names
    }

    /// Title, table of medians, goals and notes.
    pub(crate) fn text(&self) -> String {
        let figures = self.figures();
        let mut table = vec![
            std::iter::once(String::new())
                .chain(figures.iter().map(|name| heading(name)))
                .chain(["runs".to_owned()])
                .collect::<Vec<_>>(),
        ];
        for row in &self.rows {
            let cells = figures.iter().map(|name| {
                row.median(name)
                    .map_or_else(|| "-".to_owned(), |value| cell(name, value))
            });
            let name = std::iter::once(row.name.clone());
            let runs = row.runs.len().to_string();
            table.push(name.chain(cells).chain([runs]).collect());
        }
        let mut text = format!("{}  {}\n\n{}", self.workload, self.title, columns(&table));
        for goal in &self.goals {
            text.push_str(&format!("\n  {}", goal.line()));
        }
        for note in &self.notes {
            text.push_str(&format!("\n  note: {note}"));
        }
        text.push('\n');
        text
    }

    /// The same with every single run.
    pub(crate) fn json(&self) -> Value {
        let goals = self.goals.iter().map(|goal| {
            json!({
                "what": goal.what,
                "goal": goal.goal,
                "measured": goal.measured,
                "margin": goal.margin(),
                "verdict": goal.verdict().word(),
            })
        });
        let rows = self.rows.iter().map(|row| {
            let medians = self.figures().into_iter();
            let medians = medians.map(|name| (name.to_owned(), json!(row.median(name))));
            let runs = row.runs.iter().map(|run| {
                let figures = run.figures.iter();
                Value::Object(figures.map(|(n, v)| ((*n).to_owned(), json!(v))).collect())
            });
            json!({
                "name": row.name,
                "median": Value::Object(medians.collect::<Map<_, _>>()),
                "runs": runs.collect::<Vec<_>>(),
            })
        });
        json!({
            "workload": self.workload,
            "title": self.title,
            "rows": rows.collect::<Vec<_>>(),
            "goals": goals.collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

/// `fetch_peak_bytes` becomes `fetch peak MiB`: bytes are printed in mebibytes.
fn heading(figure: &str) -> String {
    figure
        .strip_suffix("_bytes")
        .map_or_else(|| figure.to_owned(), |name| format!("{name} MiB"))
        .replace('_', " ")
}

fn cell(figure: &str, value: f64) -> String {
    if figure.ends_with("_bytes") {
        short(value / MIB)
    } else {
        short(value)
    }
}

/// Rows of cells under each other: the first column to the left, figures to the right.
fn columns(table: &[Vec<String>]) -> String {
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = table.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in table {
        text.push_str("  ");
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if column == 0 {
                text.push_str(&format!("{cell:<width$}"));
            } else {
                text.push_str(&format!("  {cell:>width$}"));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Sense;

    fn report() -> Report {
        let mut report = Report::new("B2", "one file");
        let mut row = Row::new("opendag");
        for seconds in [3.0, 1.0, 2.0] {
            let run = Run::default()
                .with("seconds", seconds)
                .with("peak_bytes", 3.0 * MIB);
            row.runs.push(run);
        }
        report.rows = vec![row, Row::new("aria2")];
        report.goals.push(Goal {
            what: "speed".to_owned(),
            sense: Sense::AtLeast,
            goal: 1.5,
            measured: Some(2.0),
        });
        report
    }

    #[test]
    fn the_table_shows_medians_with_units() {
        let text = report().text();
        assert!(text.contains("seconds  peak MiB  runs"), "{text}");
        assert!(text.contains("opendag     2.00      3.00     3"), "{text}");
        assert!(text.contains("aria2          -         -     0"), "{text}");
        assert!(text.contains("reached by 33.3 %"), "{text}");
    }

    #[test]
    fn the_json_holds_every_run_and_the_median() {
        let json = report().json();
        assert_eq!(json["rows"][0]["median"]["seconds"], 2.0);
        assert_eq!(json["rows"][0]["runs"][0]["seconds"], 3.0);
        assert_eq!(json["goals"][0]["verdict"], "reached");
        assert_eq!(json["rows"][1]["median"]["seconds"], Value::Null);
    }
}
