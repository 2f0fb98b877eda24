import 'vitest';

declare module 'vitest' {
  interface ProvidedContext {
    /** True when `SOAK=1`: crash and race tests then run their full number of rounds. */
    readonly soak: boolean;
  }
}
