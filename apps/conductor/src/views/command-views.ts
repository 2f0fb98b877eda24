/** Which view each command prints with `--json`. Invariant: one for each command that takes it; a test compares. */
import { z } from 'zod';

import * as checkpoints from './checkpoint-views.ts';
import { failureView } from './failure-view.ts';
import * as jobs from './job-views.ts';
import * as nodes from './node-views.ts';
import * as runs from './run-views.ts';
import * as snapshots from './snapshot-views.ts';
import * as slots from './slot-views.ts';
import * as upkeep from './upkeep-views.ts';

/** The view of each command, by the command's words. */
export const COMMAND_VIEWS: Readonly<Record<string, z.ZodType>> = {
  init: upkeep.initView,
  start: nodes.daemonEventView,
  status: nodes.statusView,
  reload: nodes.reloadListView,
  run: runs.taskOutcomeView,
  exec: runs.taskOutcomeView,
  enqueue: jobs.enqueueView,
  'jobs list': jobs.jobListView,
  'jobs show': jobs.jobDetailView,
  'jobs attempts': jobs.attemptListView,
  'jobs pause': jobs.pauseView,
  'jobs resume': jobs.pauseView,
  'jobs cancel': jobs.jobOutcomeView,
  'jobs retry': jobs.jobOutcomeView,
  'jobs remove': jobs.jobOutcomeView,
  why: slots.whyView,
  forecast: slots.forecastView,
  simulate: slots.simulationView,
  'runs list': runs.runListView,
  'runs show': runs.runDetailView,
  'runs logs': runs.logLineView,
  'runs diff': checkpoints.runDiffView,
  'runs events': runs.runEventListView,
  'runs cancel': jobs.jobOutcomeView,
  'runs prune': runs.pruneRunsView,
  'checkpoints list': checkpoints.checkpointListView,
  'checkpoints show': checkpoints.checkpointDetailView,
  'checkpoints diff': checkpoints.checkpointDiffView,
  'checkpoints replay': snapshots.replayView,
  'checkpoints restore': snapshots.restoreView,
  'checkpoints fork': snapshots.forkView,
  'checkpoints verify': snapshots.verifyView,
  'checkpoints prune': snapshots.pruneCheckpointsView,
  'worktrees list': upkeep.worktreeListView,
  'worktrees prune': upkeep.pruneWorktreesView,
  nodes: nodes.nodeListView,
  leader: nodes.leaderView,
  logs: nodes.daemonLogLineView,
  doctor: upkeep.doctorView,
  'store stats': nodes.storeStatsView,
  'store migrate': upkeep.migrateView,
  'store backup': upkeep.backupView,
  'store export': upkeep.exportView,
  'store import': upkeep.importView,
  'store prune': upkeep.pruneStoreView,
  'config show': upkeep.configView,
  'config schema': z.record(z.string(), z.unknown()).describe('The JSON Schema of conductor.yaml'),
  'config check': upkeep.configCheckView,
  completion: upkeep.completionView,
};

/** Commands that print one document a line, for as long as there is something to tell. */
export const LINE_COMMANDS: ReadonlySet<string> = new Set(['start', 'runs logs', 'logs']);

/** The file of what any command prints with `--json` when it fails, in place of its own document. */
export const FAILURE_FILE = 'error.json';

/** The JSON Schema of what any command prints with `--json` when it fails. */
export function failureJsonSchema(): Readonly<Record<string, unknown>> {
  return { title: 'conductor … --json, of a command that fails', ...z.toJSONSchema(failureView) };
}

/** The file of a command's JSON Schema, such as `jobs-list.json`. */
export function schemaFile(command: string): string {
  return `${command.replaceAll(' ', '-')}.json`;
}

/**
 * The JSON Schema of what a command prints with `--json`.
 *
 * @param command - its words
 */
export function commandJsonSchema(command: string): Readonly<Record<string, unknown>> {
  const schema = COMMAND_VIEWS[command];
  if (schema === undefined) throw new RangeError(`Cannot describe "${command}": it has no view`);
  const title = `conductor ${command} --json${LINE_COMMANDS.has(command) ? ', each line' : ''}`;
  return { title, ...z.toJSONSchema(schema) };
}

/** Every named view as JSON Schema, by its name. */
export function viewJsonSchemas(refTo: (name: string) => string): Readonly<Record<string, unknown>> {
  const { schemas } = z.toJSONSchema(z.globalRegistry, { uri: refTo });
  return schemas;
}
