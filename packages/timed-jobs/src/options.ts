/** The tick settings. Invariant: a wrong setting is refused by name before anything is changed. */

/** How often to tick and how much a tick may do. All durations are ms. */
export interface TickConfig {
  /**
   * Spacing of the grid of planned ticks, in ms; a positive integer.
   *
   * @defaultValue 10_000
   */
  readonly intervalMs: number;
  /**
   * How many messages a runner may handle per tick; a positive integer. Runners read it, the framework does not.
   *
   * @defaultValue 10
   */
  readonly maxMessagesPerTick: number;
  /**
   * How many tasks a runner may begin per tick; a positive integer. Runners read it, the framework does not.
   *
   * @defaultValue 10
   */
  readonly maxTasksPerTick: number;
  /**
   * How long an input must have been quiet before a runner takes it up, in ms; an integer of at least 0.
   * Runners read it, the framework does not.
   *
   * @defaultValue 10_000
   */
  readonly settleDelayMs: number;
  /**
   * Whether `start()` begins the loop. With `false` there are manual ticks only.
   *
   * @defaultValue true
   */
  readonly autoStart: boolean;
}

/**
 * @internal Fills in defaults and checks.
 *
 * @throws RangeError naming the setting
 */
export function resolveTickConfig(config: Partial<TickConfig> = {}): TickConfig {
  const { autoStart = true } = config;
  if (typeof autoStart !== 'boolean') {
    throw new TypeError(
      `Cannot create timed jobs: autoStart is "${String(autoStart)}", expected true or false`,
    );
  }
  return {
    intervalMs: requireInteger('intervalMs', config.intervalMs ?? 10_000, 1),
    maxMessagesPerTick: requireInteger('maxMessagesPerTick', config.maxMessagesPerTick ?? 10, 1),
    maxTasksPerTick: requireInteger('maxTasksPerTick', config.maxTasksPerTick ?? 10, 1),
    settleDelayMs: requireInteger('settleDelayMs', config.settleDelayMs ?? 10_000, 0),
    autoStart,
  };
}

/** @internal Throws RangeError unless `value` is an integer of at least `least`. */
export function requireInteger(setting: string, value: number, least: number): number {
  if (!Number.isSafeInteger(value) || value < least) {
    throw new RangeError(
      `Cannot create timed jobs: ${setting} is "${value}", expected an integer of at least ${least}`,
    );
  }
  return value;
}
