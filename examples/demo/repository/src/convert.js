export function toFahrenheit(celsius) {
  return celsius * 1.8 + 32;
}
