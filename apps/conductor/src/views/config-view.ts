/** The config as `config show` and the HTTP API show it. Invariant: the value of a secret is never in it. */
import { HIDDEN } from '../config-issues.ts';
import type { Config } from '../config.ts';
import { SETTINGS, settingKeys } from '../settings.ts';
import type { ConfigView } from './types.ts';

/** Shows what is in force. */
export function toConfigView({ settings, sources, configPath, jobs }: Config): ConfigView {
  return {
    configPath: configPath ?? null,
    settings: settingKeys().map((key) => {
      const isHidden = SETTINGS[key].isSecret === true && settings[key] !== '';
      return { key, value: isHidden ? HIDDEN : settings[key], source: sources[key] };
    }),
    jobs: [...jobs.keys()],
  };
}
