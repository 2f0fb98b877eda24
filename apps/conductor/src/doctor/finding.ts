/** What a check of `conductor doctor` gets and what it finds. */
import type { Config } from '../config.ts';
import type { CliIo } from '../io.ts';

/** What a check works with. */
export interface CheckOptions {
  readonly config: Config;
  readonly io: CliIo;
}

/** What a check came to. */
export interface Finding {
  /** `warn` will bite one day; `bad` bites now. */
  readonly status: 'ok' | 'warn' | 'bad';
  /** What was looked at and seen, one sentence. */
  readonly detail: string;
  /** How to mend it; unset when there is nothing to mend. */
  readonly mend?: string;
}

/** One check; a check that throws has found that it cannot be made, which is bad. */
export interface Check {
  readonly name: string;
  readonly run: (options: CheckOptions) => Promise<Finding> | Finding;
}
