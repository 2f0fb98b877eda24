// Nothing uses this any more.
export const VERSION = 'old';
