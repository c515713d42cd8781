//! Metrics that are looked up at each request, and the text of all metrics.

use prometheus::TextEncoder;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// One response to `/metrics`.
#[derive(Default)]
pub struct Page {
    families: Vec<MetricFamily>,
}

/// The samples of one metric, which differ by their labels.
pub struct Family<'p> {
    family: &'p mut MetricFamily,
    is_counter: bool,
}

impl Page {
    pub(crate) fn new(families: Vec<MetricFamily>) -> Page {
        Page { families }
    }

    /// A value that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, help, false)
    }

    /// A count that is kept elsewhere. The name ends in `_total`.
    pub fn counter(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, help, true)
    }

    fn family(&mut self, name: &str, help: &str, is_counter: bool) -> Family<'_> {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(if is_counter {
            MetricType::COUNTER
        } else {
            MetricType::GAUGE
        });
        self.families.push(family);
        let family = self.families.last_mut().expect("it was pushed just now");
        Family { family, is_counter }
    }

    /// The text of all metrics that have samples, ordered by name.
    pub(crate) fn text(mut self) -> Result<String, prometheus::Error> {
        self.families
            .retain(|family| !family.get_metric().is_empty());
        self.families.sort_by(|a, b| a.name().cmp(b.name()));
        TextEncoder::new().encode_to_string(&self.families)
    }
}

impl Family<'_> {
    /// Adds a sample.
    pub fn sample(self, labels: &[(&str, &str)], value: f64) -> Self {
        let labels = labels.iter().map(|(name, value)| {
            let mut label = LabelPair::default();
            label.set_name((*name).to_owned());
            label.set_value((*value).to_owned());
            label
        });
        let mut metric = Metric::from_label(labels.collect());
        if self.is_counter {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.family.mut_metric().push(metric);
        self
    }
}
