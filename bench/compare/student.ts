/** Student's t distribution: how far apart two centres are by chance, where the noise is only known from few values. */

/** The share of values within `t` of the centre on either side. `freedom` is a whole number, 1 or more. */
export function shareWithin(t: number, freedom: number): number {
  // Abramowitz and Stegun, 26.7.3 and 26.7.4.
  const angle = Math.atan(t / Math.sqrt(freedom));
  const [sin, cos] = [Math.sin(angle), Math.cos(angle)];
  const odd = freedom % 2 === 1;
  let term = odd ? cos : 1;
  let sum = freedom === 1 ? 0 : term;
  for (let i = odd ? 3 : 2; i < freedom; i += 2) {
    term *= ((i - 1) / i) * cos * cos;
    sum += term;
  }
  return odd ? (2 / Math.PI) * (angle + sin * sum) : sin * sum;
}

/** The `t` that only a share of `outside` of all values is beyond, on both sides together. */
export function criticalT(outside: number, freedom: number): number {
  let [low, high] = [0, 1];
  while (shareWithin(high, freedom) < 1 - outside) high *= 2;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (shareWithin(middle, freedom) < 1 - outside) low = middle;
    else high = middle;
  }
  return high;
}
