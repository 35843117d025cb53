//! The numbers of scipy 1.17.1 (`linregress`, `t.ppf`, `theilslopes`) and pymannkendall 1.4.3 (`original_test`), and the edges of
//! the input.

use kennel_sdk::testing;

use super::*;

fn find(input: Value) -> Result<Vec<Value>, Error> {
    let output = AGENT.handle(Task::new("t"), Payload::json(&input))?;
    let output: Value = output.decode().unwrap();
    Ok(output["trends"].as_array().unwrap().clone())
}

fn series(points: &[(f64, f64)]) -> Value {
    let rows = points.iter();
    rows.map(|(x, y)| json!({ "time": x, "value": y }))
        .collect()
}

#[track_caller]
fn close(trend: &Value, expected: &[(&str, f64)]) {
    for (pointer, expected) in expected {
        let given = trend.pointer(pointer).and_then(Value::as_f64).unwrap();
        assert!(
            (given - expected).abs() <= 1e-8 * expected.abs().max(1e-20),
            "{pointer}: {given} is not {expected}"
        );
    }
}

#[test]
fn a_rising_series_has_the_numbers_of_scipy() {
    let y = [3.1, 2.9, 4.4, 4.4, 5.2, 4.9, 6.3, 6.1];
    let points: Vec<_> = (0..8).map(f64::from).zip(y).collect();
    let trends = find(json!({ "series": series(&points) })).unwrap();
    assert_eq!(trends[0]["direction"], "up");
    let expected = [
        ("/slope", 0.479_761_904_761_904_7),
        ("/intercept", 2.983_333_333_333_333_4),
        ("/standard-error", 0.066_414_631_296_040_18),
        ("/p-value", 0.000_356_848_667_099_404_47),
        ("/r-squared", 0.896_876_018_179_508_9),
        ("/interval/low", 0.317_251_156_354_199_8),
        ("/interval/high", 0.642_272_653_169_609_7),
        ("/mann-kendall/s", 21.0),
        ("/mann-kendall/variance", 64.333_333_333_333_33),
        ("/mann-kendall/z", 2.493_514_904_770_148_4),
        ("/mann-kendall/p-value", 0.012_648_527_380_247_91),
        ("/sen-slope", 0.4875),
    ];
    close(&trends[0], &expected);
}

#[test]
fn ties_and_uneven_gaps_have_the_numbers_of_scipy() {
    let points = [
        (11.0, 3.0),
        (0.0, 5.0),
        (1.0, 5.0),
        (3.0, 5.0),
        (4.0, 4.0),
        (10.0, 5.0),
    ];
    let trends = find(json!({ "series": series(&points), "confidence": 0.9 })).unwrap();
    assert_eq!(trends[0]["direction"], "flat");
    let expected = [
        ("/slope", -0.107_644_305_772_230_89),
        ("/p-value", 0.213_096_624_969_924_04),
        ("/interval/low", -0.262_749_945_859_421_9),
        ("/interval/high", 0.047_461_334_314_960_16),
        ("/mann-kendall/s", -7.0),
        ("/mann-kendall/variance", 19.666_666_666_666_668),
        ("/mann-kendall/z", -1.352_962_850_405_092),
        ("/mann-kendall/p-value", 0.176_067_498_811_742_33),
        ("/sen-slope", -0.142_857_142_857_142_85),
    ];
    close(&trends[0], &expected);
}

#[test]
fn the_sample_file_has_one_series_of_each_kind() {
    let csv = include_bytes!("../../samples/market/series.csv");
    let blob = json!({ "$blob": testing::add_blob("text/csv", csv), "media-type": "text/csv" });
    let trends = find(json!({ "series": blob })).unwrap();
    let found: Vec<_> = trends
        .iter()
        .map(|trend| {
            (
                trend["series"].as_str().unwrap(),
                trend["direction"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("earbuds-mean-price", "down"),
        ("own-orders", "up"),
        ("rival-visits", "flat"),
        ("search-interest", "flat"),
    ];
    assert_eq!(found, expected);
    assert_eq!(
        (
            &trends[0]["from"],
            &trends[0]["to"],
            &trends[0]["slope-unit"]
        ),
        (&json!("2026-01-05"), &json!("2026-05-10"), &json!("day"))
    );
    let down = [
        ("/count", 126.0),
        ("/slope", -0.108_386_471_691_038_61),
        ("/intercept", 119.036_217_972_753_4),
        ("/standard-error", 0.003_772_154_482_026_808_4),
        ("/p-value", 1.171_550_292_177_201e-56),
        ("/r-squared", 0.869_419_103_390_633_6),
        ("/mann-kendall/variance", 224_868.333_333_333_34),
        ("/mann-kendall/z", -12.910_087_172_357_679),
        ("/sen-slope", -0.110_240_963_855_421_76),
    ];
    close(&trends[0], &down);
    let flat = [
        ("/p-value", 0.693_847_807_929_050_7),
        ("/interval/low", -1.313_219_758_683_020_5),
        ("/mann-kendall/p-value", 0.698_004_502_680_933_8),
    ];
    close(&trends[2], &flat);
}

#[test]
fn one_outlier_moves_the_line_but_not_the_median_slope() {
    let points: Vec<_> = (0..9)
        .map(f64::from)
        .map(|x| (x, if x == 8.0 { 900.0 } else { x }))
        .collect();
    let trend = &find(json!({ "series": series(&points) })).unwrap()[0];
    assert!(trend["slope"].as_f64().unwrap() > 50.0);
    assert_eq!(trend["sen-slope"], 1.0);
}

#[test]
fn a_series_without_change_or_without_error_still_has_an_answer() {
    let flat =
        &find(json!({ "series": series(&[(0.0, 7.0), (1.0, 7.0), (2.0, 7.0)]) })).unwrap()[0];
    assert_eq!(
        (&flat["direction"], &flat["p-value"]),
        (&json!("flat"), &json!(1.0))
    );
    let exact =
        &find(json!({ "series": series(&[(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]) })).unwrap()[0];
    assert_eq!(
        (&exact["t"], &exact["slope"], &exact["p-value"]),
        (&Value::Null, &json!(1.0), &json!(0.0))
    );
    // Three points rise by chance once in six times: not sure enough.
    assert_eq!(exact["direction"], "flat");
}

#[test]
fn days_are_counted_across_months_and_offsets() {
    let csv = "date,price\n2026-03-01T00:00:00Z,2\n2026-02-28,1\n2026-03-02T01:00:00+01:00,3\n,\n";
    let error = find(json!({ "series": csv })).unwrap_err();
    assert!(error.message().contains("line: 5"), "{error}");
    let csv = csv.replace(",\n,", ",").replace("\n,\n", "\n2026-03-09,\n");
    let trend = &find(json!({ "series": csv })).unwrap()[0];
    assert_eq!((&trend["slope"], &trend["count"]), (&json!(1.0), &json!(3)));
}

#[test]
fn what_has_no_trend_to_find_is_told_so() {
    let many: Vec<_> = (0..2001).map(|x| (f64::from(x), 1.0)).collect();
    for (input, part) in [
        (
            json!({ "series": series(&[(0.0, 1.0), (1.0, 2.0)]) }),
            "series `value` has 2 values; a trend needs 3",
        ),
        (json!({ "series": series(&many) }), "more than 2000"),
        (
            json!({ "series": series(&[(0.0, 1.0), (1.0, 2.0), (1.0, 3.0)]) }),
            "two values at 1",
        ),
        (
            json!({ "series": "date,value\n2026-01-01,1\n7,2\n2026-01-03,3\n" }),
            "mixes moments and numbers",
        ),
        (
            json!({ "series": "date,value\n1,NaN\n2,1\n3,1\n" }),
            "the value NaN at 1",
        ),
        (
            json!({ "series": "date,value\nsoon,1\n" }),
            "`soon` is neither",
        ),
        (
            json!({ "series": [], "confidence": 1 }),
            "input.confidence is 1",
        ),
        (json!({}), "missing field `series`"),
    ] {
        let error = find(input).unwrap_err();
        assert!(
            matches!(error, Error::InvalidInput(_)) && error.message().contains(part),
            "{part}: {error}"
        );
    }
}
