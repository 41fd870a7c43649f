//! A page of figures in the text format of OpenMetrics 1.0.

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, text},
    metrics::{MetricType, exemplar::Exemplar, info::Info},
    registry::{Metric, Registry, Unit},
};

/// All figures of one answer.
#[derive(Debug, Default)]
pub(super) struct Page(Registry);

/// Figures whose names begin alike.
#[derive(Debug)]
pub(super) struct Group<'a>(&'a mut Registry);

/// A label and its value; the values of a label are few, and the code's.
pub(super) type Label = (&'static str, &'static str);

/// A metric's name without prefix and unit, its unit, and a word on what it tells.
pub(super) type About = (&'static str, &'static str, &'static str);

/// One number of a metric.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<usize> for Number {
    fn from(number: usize) -> Self {
        Self::Whole(u64::try_from(number).unwrap_or(u64::MAX))
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl Page {
    /// A group of figures below `prefix`.
    pub(super) fn group(&mut self, prefix: &str) -> Group<'_> {
        Group(self.0.sub_registry_with_prefix(prefix))
    }

    /// Tells which program this is.
    pub(super) fn version(&mut self, version: &'static str) {
        let group = self.0.sub_registry_with_prefix("opendag");
        let info = Info::new([("version", version)]);
        group.register("build", "The program that runs", info);
    }

    /// The page as text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = text::encode(&mut text, &self.0);
        text
    }
}

impl Group<'_> {
    /// A number that only grows.
    pub(super) fn counter(&mut self, about: About, number: impl Into<Number>) {
        self.add(about, MetricType::Counter, vec![(vec![], number.into())]);
    }

    /// Numbers that only grow, by their labels.
    pub(super) fn counters<const N: usize, T: Into<Number>>(
        &mut self,
        about: About,
        numbers: impl IntoIterator<Item = ([Label; N], T)>,
    ) {
        self.add(about, MetricType::Counter, labelled(numbers));
    }

    /// A number that goes up and down.
    pub(super) fn gauge(&mut self, about: About, number: impl Into<Number>) {
        self.add(about, MetricType::Gauge, vec![(vec![], number.into())]);
    }

    /// Numbers that go up and down, by their labels.
    pub(super) fn gauges<const N: usize, T: Into<Number>>(
        &mut self,
        about: About,
        numbers: impl IntoIterator<Item = ([Label; N], T)>,
    ) {
        self.add(about, MetricType::Gauge, labelled(numbers));
    }

    /// A metric that knows its numbers itself.
    pub(super) fn metric(&mut self, (name, unit, help): About, metric: impl Metric) {
        self.0.register_with_unit(name, help, named(unit), metric);
    }

    fn add(&mut self, about: About, kind: MetricType, numbers: Vec<(Vec<Label>, Number)>) {
        self.metric(about, Numbers { kind, numbers });
    }
}

fn labelled<const N: usize, T: Into<Number>>(
    numbers: impl IntoIterator<Item = ([Label; N], T)>,
) -> Vec<(Vec<Label>, Number)> {
    let numbers = numbers.into_iter();
    numbers
        .map(|(labels, number)| (labels.to_vec(), number.into()))
        .collect()
}

fn named(unit: &str) -> Unit {
    match unit {
        "bytes" => Unit::Bytes,
        "seconds" => Unit::Seconds,
        other => Unit::Other(other.to_owned()),
    }
}

/// The numbers of a metric.
#[derive(Debug)]
struct Numbers {
    kind: MetricType,
    numbers: Vec<(Vec<Label>, Number)>,
}

impl EncodeMetric for Numbers {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        for (labels, number) in &self.numbers {
            match labels.is_empty() {
                true => self.encode_one(&mut encoder, *number)?,
                false => self.encode_one(&mut encoder.encode_family(labels)?, *number)?,
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        self.kind
    }
}

impl Numbers {
    fn encode_one(
        &self,
        encoder: &mut MetricEncoder,
        number: Number,
    ) -> Result<(), std::fmt::Error> {
        const NO_EXEMPLAR: Option<&Exemplar<Vec<Label>, u64>> = None;
        match (self.kind, number) {
            (MetricType::Counter, Number::Whole(number)) => {
                encoder.encode_counter(&number, NO_EXEMPLAR)
            }
            (MetricType::Counter, Number::Real(number)) => {
                encoder.encode_counter(&number, NO_EXEMPLAR)
            }
            (_, Number::Whole(number)) => encoder.encode_gauge(&number),
            (_, Number::Real(number)) => encoder.encode_gauge(&number),
        }
    }
}
