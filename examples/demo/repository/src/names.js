export const UNITS = ['celsius', 'fahrenheit'];
