/** What there is of a daemon once its step has started; for whoever tells about it. */
import type { Election } from '@conductor-run/job-store';

import type { ChecklistItem } from '../node-state.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { Heartbeat } from './heartbeat.ts';
import type { LiveConfig } from './live-config.ts';

/** Filled while the daemon starts, in the order of its steps. */
export interface DaemonParts {
  leader: Election | undefined;
  dispatcher: Dispatcher | undefined;
  /** Where the HTTP API listens. */
  apiUrl: string | undefined;
  heartbeat: Heartbeat | undefined;
  readonly liveConfig: LiveConfig;
  /** Whether every step has started. */
  isStarted: boolean;
  /** What has started. */
  readonly checklist: ChecklistItem[];
}
