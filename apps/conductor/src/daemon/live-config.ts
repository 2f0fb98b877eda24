/**
 * The config a daemon works with, and how another one takes its place while it runs.
 * Invariant: what is in use is always one whole file that was understood: the next one is read, judged and prepared beside
 * it, and put in its place in one turn of the event loop. A file that cannot be used changes nothing and is told.
 */
import type { Clock } from '@conductor-run/clock';
import type { Logger } from '@conductor-run/logging';

import { EMPTY_DIGEST } from '../config-file.ts';
import type { Config } from '../config.ts';
import { ConductorError } from '../errors.ts';
import type { ConfigState } from '../node-state.ts';
import { type Settings, settingKeys } from '../settings.ts';

/** What a live config works with. */
export interface LiveConfigOptions {
  /** What the daemon was started with. */
  readonly config: Config;
  /** Reads the file as it is now, with the flags and the environment of the start; throws what is wrong with it. */
  readonly read: () => Config;
  /** Judges a config before it is used: throws what is wrong with it here, or gives what puts it in force, which must not throw. */
  readonly prepare: (next: Config) => () => void;
  /** Told after each reload, once it holds. */
  readonly onReloaded: (reloaded: Reloaded) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What a reload came to. */
export interface Reloaded {
  /** Whether the file, as it was read, is in use. */
  readonly isInUse: boolean;
  readonly configPath: string | undefined;
  /** Of what is in use now. */
  readonly digest: string;
  /** Names of jobs. */
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /** Keys of the file whose new values are used after a restart only. */
  readonly restartFor: readonly string[];
  /** Why the file is not used. */
  readonly problem: string | undefined;
}

/** The config of a running daemon. */
export interface LiveConfig {
  /** The config in use. A reload puts another one here and changes none, so whoever began with one may keep it. */
  current(): Config;
  /** What the node's record says about it. */
  state(): ConfigState;
  /** Reads the file again and uses it, if it can be used. One after another; never rejects for what is in the file. */
  reload(): Promise<Reloaded>;
}

/**
 * Makes it; nothing is read before `reload`.
 *
 * @param options - what it works with
 */
export function createLiveConfig(options: LiveConfigOptions): LiveConfig {
  const { config: first, clock, logger } = options;
  let current = first;
  let loadedAtMs = clock.nowMs();
  let restartFor: readonly string[] = [];
  let problem: string | undefined;
  let reloading: Promise<unknown> = Promise.resolve();

  const reloadNow = async (): Promise<Reloaded> => {
    const former = current;
    try {
      const found = await readSettled(options);
      requireSamePlace(former, found);
      const next = keepFixed(first, found);
      const use = options.prepare(next);
      [current, loadedAtMs, problem, restartFor] = [next, clock.nowMs(), undefined, fixedOf(first, found)];
      use();
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
      logger.error({ err: error, configPath: former.configPath }, 'config.refused');
    }
    const { configPath, digest } = current;
    const isInUse = problem === undefined;
    const reloaded = { isInUse, configPath, digest, ...compareJobs(former, current), restartFor, problem };
    const { added, changed, removed } = reloaded;
    if (isInUse) logger.info({ digest, added, changed, removed, restartFor }, 'config.reloaded');
    await options.onReloaded(reloaded);
    return reloaded;
  };
  return {
    current: () => current,
    state: () => ({
      path: current.configPath,
      folder: current.rootDir,
      digest: current.digest,
      loadedAtMs,
      restartFor,
      problem,
    }),
    reload() {
      const reloaded = reloading.then(reloadNow);
      reloading = reloaded.catch(() => undefined);
      return reloaded;
    },
  };
}

/** Reads until two looks in a row agree: whoever writes the file may be in the middle of it. */
async function readSettled({ read, clock }: LiveConfigOptions): Promise<Config> {
  let last = lookAt(read);
  for (let look = 1; look < MAX_LOOKS; look += 1) {
    await clock.sleep(BETWEEN_LOOKS_MS);
    const next = lookAt(read);
    if (next.said === last.said) {
      if (next.config === undefined) throw next.error;
      return next.config;
    }
    last = next;
  }
  throw new ConductorError(
    'config-invalid',
    `Cannot use the config: it changed ${MAX_LOOKS - 1} times in ${(MAX_LOOKS - 1) * BETWEEN_LOOKS_MS} ms, expected a file nobody is writing`,
    { hint: 'Reload again once it is written.' },
  );
}

/** One look, and what tells it from another. */
type ConfigLook =
  | { readonly said: string; readonly config: Config }
  | { readonly said: string; readonly config: undefined; readonly error: unknown };

function lookAt(read: () => Config): ConfigLook {
  try {
    const config = read();
    return { said: config.digest, config };
  } catch (error) {
    return { said: error instanceof Error ? error.message : String(error), config: undefined, error };
  }
}

/** Paths start at the config's folder, and a file that is being written is empty at first. */
function requireSamePlace(former: Config, found: Config): void {
  if (found.rootDir !== former.rootDir) {
    throw new ConductorError(
      'config-invalid',
      `Cannot use config "${found.configPath ?? found.rootDir}": it lies in another folder than the daemon works in, "${former.rootDir}"`,
      { hint: 'Restart the daemon to use it.' },
    );
  }
  if (found.digest === EMPTY_DIGEST && former.digest !== EMPTY_DIGEST) {
    throw new ConductorError(
      'config-invalid',
      `Cannot use config "${found.configPath ?? ''}": it is empty, as a file that is being written`,
      { hint: 'Write `jobs: {}` to run no jobs.' },
    );
  }
}

/** What was found, with the settings that cannot change while the daemon runs. */
function keepFixed(first: Config, found: Config): Config {
  const reloaded = Object.fromEntries(RELOADED.map((key) => [key, found.settings[key]]));
  const sources = Object.fromEntries(RELOADED.map((key) => [key, found.sources[key]]));
  return {
    ...found,
    arcp: first.arcp,
    settings: { ...first.settings, ...reloaded },
    sources: { ...first.sources, ...sources },
  };
}

/** The keys whose values would need a restart. */
function fixedOf(first: Config, found: Config): readonly string[] {
  const keys: string[] = settingKeys().filter(
    (key) => !RELOADED.includes(key) && found.settings[key] !== first.settings[key],
  );
  return JSON.stringify(found.arcp) === JSON.stringify(first.arcp) ? keys : [...keys, 'arcp'];
}

function compareJobs(
  { jobs: former }: Config,
  { jobs }: Config,
): Pick<Reloaded, 'added' | 'changed' | 'removed'> {
  const names = [...jobs.keys()];
  return {
    added: names.filter((name) => !former.has(name)),
    changed: names.filter(
      (name) => former.has(name) && JSON.stringify(former.get(name)) !== JSON.stringify(jobs.get(name)),
    ),
    removed: [...former.keys()].filter((name) => !jobs.has(name)),
  };
}

/** Settings that are asked for anew each time they are needed. */
const RELOADED: readonly (keyof Settings)[] = [
  'maxParallel',
  'retainRunsDays',
  'retainRuns',
  'retainBytes',
  'retainWorktreesDays',
  'retainHistoryDays',
];
const MAX_LOOKS = 6;
const BETWEEN_LOOKS_MS = 100;
