/** Job definitions as ARCP sees them. Invariant: an agent's version is what the config says, never guessed. */
import type { AgentInventoryEntry } from '@conductor-run/arcp';

import type { JobDefinition } from '../job-config.ts';

/** What is on offer, and what cannot be. */
export interface Agents {
  /** One entry per job whose name is one of an agent. */
  readonly inventory: readonly AgentInventoryEntry[];
  /** Jobs whose names ARCP does not know: agents are lower case. */
  readonly unnameable: readonly string[];
}

/**
 * Makes the list of agents.
 *
 * @param jobs - the config's jobs
 */
export function toAgents(jobs: ReadonlyMap<string, JobDefinition>): Agents {
  const definitions = [...jobs.values()];
  return {
    inventory: definitions
      .filter(({ name }) => AGENT_NAME.test(name))
      .map(({ name, version }) => ({ name, versions: [version], default: version })),
    unnameable: definitions.filter(({ name }) => !AGENT_NAME.test(name)).map(({ name }) => name),
  };
}

/** Section 7.5 of the draft. */
const AGENT_NAME = /^[a-z0-9][a-z0-9._-]*$/;
