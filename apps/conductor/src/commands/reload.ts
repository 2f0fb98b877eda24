/**
 * `conductor reload`: has daemons read their config again, and says what they made of it.
 * Invariant: it asks and waits for the answer; what it prints is what the daemon said, never what it hoped for.
 */
import type { Command } from 'commander';

import { createConductorClient } from '../client.ts';
import {
  type CliOptions,
  type Context,
  createContext,
  withApiOption,
  withCommonOptions,
} from '../context.ts';
import { ConductorError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { findApis } from '../http/api-place.ts';
import { readToken } from '../http/token.ts';
import type { CliIo } from '../io.ts';
import { remoteClient } from '../remote.ts';
import { describeReload } from '../terminal/reload.ts';
import { stripControl } from '../terminal/style.ts';
import { reloadListView } from '../views/node-views.ts';
import type { ReloadView } from '../views/types.ts';

/** Adds `reload`. */
export function addReloadCommand(program: Command, io: CliIo, finish: (exitCode: number) => void): void {
  withApiOption(
    withCommonOptions(
      program
        .command('reload')
        .description(
          'have the daemons here read their config again; exits with 1 when one refused it and goes on with the one before, 5 when settings need a restart',
        )
        .addHelpText('after', '\nExample:\n  conductor config check && conductor reload'),
    ),
  ).action(async (options: CliOptions) => {
    const { context, problem } = createPlace(io, options);
    const daemons = await reloadAll(context, problem);
    if (context.json) context.printJson(reloadListView, { daemons });
    else for (const each of daemons) context.print(`${describe(context, each)}\n`);
    finish(exitCodeOf(daemons));
  });
}

/** A file that cannot be understood is for the daemon to judge: here it only says where the daemon is. */
function createPlace(
  io: CliIo,
  options: CliOptions,
): { readonly context: Context; readonly problem: ConductorError | undefined } {
  try {
    return { context: createContext(io, options), problem: undefined };
  } catch (error) {
    if (!(error instanceof ConductorError) || error.code !== 'config-invalid') throw error;
    return { context: createContext(io, options, true), problem: error };
  }
}

async function reloadAll(
  context: Context,
  problem: ConductorError | undefined,
): Promise<readonly ReloadView[]> {
  const named = remoteClient(context);
  if (named !== undefined) return [await named.reload()];
  const { settings } = context.config;
  const places = findApis(settings);
  const token = readToken(context.config);
  if (places.length === 0 || token === undefined) {
    // Where the daemon is may be what the file could not say.
    if (problem !== undefined) throw problem;
    throw new ConductorError(
      'daemon-not-found',
      places.length === 0
        ? `Cannot reload: no daemon is up with the state directory "${settings.stateDir}"`
        : `Cannot reload: there is no token to send, expected one in "${settings.sharedTokenFile}"`,
      { hint: 'A daemon that is started reads the config as it is: conductor start' },
    );
  }
  return Promise.all(places.map(({ url }) => createConductorClient({ baseUrl: url, token }).reload()));
}

function describe({ paint }: Context, view: ReloadView): string {
  const isDone = view.isInUse && view.restartFor.length === 0;
  const tone = isDone ? 'good' : view.isInUse ? 'warn' : 'bad';
  return `${paint('strong', view.node)} ${paint(tone, stripControl(describeReload(view)))}`;
}

function exitCodeOf(daemons: readonly ReloadView[]): number {
  if (daemons.some(({ isInUse }) => !isInUse)) return EXIT.failed;
  return daemons.some(({ restartFor }) => restartFor.length > 0) ? EXIT.restartNeeded : EXIT.ok;
}
