//! The times of a load as a picture: how long, for which share of the messages.

use std::fmt::Write as _;

use super::report::{Report, milliseconds};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 60.0;
const RIGHT: f64 = 20.0;
const BOTTOM: f64 = 60.0;
const COLOURS: [&str; 4] = ["#999", "#1668b8", "#c2571a", "#3f8f3f"];
/// Shares on the axis; each step has a tenth of what is left.
const SHARES: [(f64, &str); 5] = [
    (0.0, "0"),
    (0.9, "90 %"),
    (0.99, "99 %"),
    (0.999, "99.9 %"),
    (0.9999, "99.99 %"),
];
/// Points of a line.
const POINTS: u32 = 200;

/// A picture of its own, with all that it needs.
pub(super) fn svg(report: &Report) -> String {
    let mut picture = String::new();
    // Writing to a text does not fail.
    draw(report, &mut picture).unwrap_or_default();
    picture
}

fn draw(report: &Report, out: &mut String) -> std::fmt::Result {
    let times = report.times();
    let highest = times
        .iter()
        .map(|(_, times)| times.max())
        .max()
        .unwrap_or(1);
    let top = milliseconds(highest.max(1)).log10().ceil();
    let bottom = -2.0_f64;
    let decades = (top - bottom).max(1.0);
    let y = |ms: f64| {
        let share = (ms.max(0.01).log10() - bottom) / decades;
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    };
    let nines = 4.0;
    let x = |share: f64| {
        let along = -(1.0 - share).max(1e-4).log10() / nines;
        LEFT + along * (WIDTH - LEFT - RIGHT)
    };
    writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
<text x="{LEFT}" y="22">{}</text>"##,
        report.about()
    )?;
    for (share, label) in SHARES {
        let at = x(share);
        let (from, to) = (TOP, HEIGHT - BOTTOM);
        writeln!(
            out,
            r##"<line x1="{at:.1}" x2="{at:.1}" y1="{from}" y2="{to}" stroke="#ddd"/><text x="{at:.1}" y="{}" text-anchor="middle">{label}</text>"##,
            to + 18.0
        )?;
    }
    let mut decade = bottom;
    while decade <= top {
        let (ms, to) = (10_f64.powf(decade), WIDTH - RIGHT);
        let at = y(ms);
        writeln!(
            out,
            r##"<line x1="{LEFT}" x2="{to}" y1="{at:.1}" y2="{at:.1}" stroke="#ddd"/><text x="{}" y="{:.1}" text-anchor="end">{ms} ms</text>"##,
            LEFT - 8.0,
            at + 4.0
        )?;
        decade += 1.0;
    }
    writeln!(
        out,
        r#"<text x="{}" y="{}" text-anchor="middle">share of the messages that took at most so long, from when they were due</text>"#,
        f64::midpoint(LEFT, WIDTH - RIGHT),
        HEIGHT - 14.0
    )?;
    for ((what, times), (colour, column)) in times.iter().zip(COLOURS.iter().zip(0_u8..)) {
        let mut points = String::new();
        for point in 0..=POINTS {
            let share = 1.0 - 10_f64.powf(-nines * f64::from(point) / f64::from(POINTS));
            let ms = milliseconds(times.value_at_quantile(share));
            write!(points, "{:.1},{:.1} ", x(share), y(ms))?;
        }
        let label = LEFT + 175.0 * f64::from(column);
        writeln!(
            out,
            r#"<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/><text x="{label}" y="44" fill="{colour}">{what}</text>"#
        )?;
    }
    writeln!(out, "</svg>")
}
