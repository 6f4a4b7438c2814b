//! Normally distributed numbers from uniform ones, by arithmetic that IEEE 754 fixes to the bit: the mathematical
//! functions of two C libraries may differ in the last place, and weights must not. Knows no streams and no tensors.

/// The quantile function of the standard normal distribution at `uniform` in [0, 1), to about seven digits: algorithm
/// AS 241, PPND7 (Wichura 1988, Applied Statistics 37:477-484). At 0 it answers for the smallest draw above 0.
pub fn standard_normal(uniform: f64) -> f64 {
    let centred = uniform - 0.5;
    if centred.abs() <= 0.425 {
        let r = 0.180_625 - centred * centred;
        let numerator = ((59.109_374_720 * r + 159.291_132_02) * r + 50.434_271_938) * r + 3.387_132_717_9;
        let denominator = ((67.187_563_6 * r + 78.757_757_664) * r + 17.895_169_469) * r + 1.0;
        return centred * numerator / denominator;
    }
    let tail = if centred < 0.0 { uniform.max(f64::EPSILON / 4.0) } else { 1.0 - uniform };
    let r = (-logarithm(tail)).sqrt();
    let magnitude = if r <= 5.0 {
        let r = r - 1.6;
        let numerator =
            ((0.170_238_211_03 * r + 1.306_728_481_6) * r + 2.756_815_390_0) * r + 1.423_437_277_7;
        numerator / ((0.120_211_329_75 * r + 0.737_001_642_5) * r + 1.0)
    } else {
        let r = r - 5.0;
        let numerator =
            ((0.017_337_203_997 * r + 0.428_682_943_37) * r + 3.081_226_386_0) * r + 6.657_905_115_0;
        numerator / ((0.012_258_202_635 * r + 0.241_978_942_25) * r + 1.0)
    };
    if centred < 0.0 { -magnitude } else { magnitude }
}

/// The natural logarithm of a positive, normal number, to about 12 digits.
fn logarithm(x: f64) -> f64 {
    // x = mantissa * 2^exponent, with the mantissa in [1, 2).
    let exponent = (x.to_bits() >> 52) as i64 - 1_023;
    let mantissa = f64::from_bits((x.to_bits() & ((1 << 52) - 1)) | (1_023 << 52));
    // ln m = ln √2 + 2 artanh z, with |z| below 0.172: the series gains 1.5 digits with every term.
    let z = (mantissa - std::f64::consts::SQRT_2) / (mantissa + std::f64::consts::SQRT_2);
    let square = z * z;
    let series = (0..8).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
    (exponent as f64 + 0.5) * std::f64::consts::LN_2 + 2.0 * z * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        let table =
            [(0.5, 0.0), (0.975, 1.959_964), (0.84134475, 1.0), (0.001, -3.090_232), (1e-10, -6.361_341)];
        for (uniform, quantile) in table {
            let found = standard_normal(uniform);
            assert!((found - quantile).abs() < 2e-6, "{uniform}: {found}, not {quantile}");
        }
        assert!(standard_normal(0.0).is_finite());
        assert!((standard_normal(0.0) + 8.29).abs() < 0.2);
    }

    #[test]
    fn logarithms_are_right() {
        for x in [1e-16, 3e-8, 0.001, 0.074, 0.5, 0.999, 1.0] {
            assert!((logarithm(x) - f64::ln(x)).abs() < 1e-11, "{x}");
        }
    }
}
