/**
 * Where a command looks: the files here, or a daemon elsewhere. Both give the same views.
 * Invariant: a daemon that was named is asked, or the command fails; nothing falls back in silence.
 */
import { ConductorApiError, type ConductorClient, createConductorClient } from './client.ts';
import type { Context } from './context.ts';
import { ConductorError } from './errors.ts';
import { findApi } from './http/api-place.ts';
import { readToken } from './http/token.ts';
import type { RecordPlace } from './record/record-place.ts';
import { withStore, withStoreThatIsThere } from './wire.ts';

/** The two ways to carry a command out. */
export interface Ways<View> {
  readonly here: (place: RecordPlace) => Promise<View>;
  readonly there: (client: ConductorClient) => Promise<View>;
}

/**
 * Asks the daemon that `--api` names, else reads the files here, or steers what they hold. Makes no file.
 *
 * @param context - the invocation
 * @param ways - how
 * @throws ConductorError with code `token-invalid` when there is no token to send, and what the way throws
 */
export async function fromRecord<View>(context: Context, ways: Ways<View>): Promise<View> {
  return carryOut(context, ways, withStoreThatIsThere);
}

/**
 * The same for what puts something into the store: it is made when it is not there.
 *
 * @param context - the invocation
 * @param ways - how
 * @throws ConductorError as `fromRecord` does
 */
export async function intoRecord<View>(context: Context, ways: Ways<View>): Promise<View> {
  return carryOut(context, ways, withStore);
}

async function carryOut<View>(
  context: Context,
  { here, there }: Ways<View>,
  open: typeof withStore<View>,
): Promise<View> {
  const client = remoteClient(context);
  if (client !== undefined) return there(client);
  const { config, io } = context;
  return open(context, (store) => here({ config, store, clock: io.clock }));
}

/**
 * The client of the daemon that `--api` names.
 *
 * @param context - the invocation
 * @returns `undefined` when none was named
 * @throws ConductorError with code `usage` for no URL, `token-invalid` when there is no token to send
 */
export function remoteClient({ apiUrl, config }: Context): ConductorClient | undefined {
  if (apiUrl === undefined) return undefined;
  if (!URL.canParse(apiUrl) || !/^https?:$/.test(new URL(apiUrl).protocol)) {
    throw new ConductorError(
      'usage',
      `Cannot ask the daemon at "${apiUrl}": expected a URL such as http://127.0.0.1:7420`,
    );
  }
  const token = readToken(config);
  if (token !== undefined) return createConductorClient({ baseUrl: apiUrl, token });
  throw new ConductorError(
    'token-invalid',
    `Cannot ask the daemon at "${apiUrl}": there is no token to send`,
    {
      hint: 'Set CONDUCTOR_SHARED_TOKEN, or name the file with --shared-token-file.',
    },
  );
}

/** What a daemon of this state directory says, or why none does. */
export type LocalAnswer<View> =
  | { readonly view: View }
  | {
      readonly view: undefined;
      readonly why: string;
      readonly url: string | undefined;
      /** Whether it answered, and refused. */
      readonly isRefused: boolean;
    };

/**
 * Asks a live daemon of this state directory.
 *
 * @param context - the invocation
 * @param ask - what
 */
export async function fromLocalDaemon<View>(
  { config }: Context,
  ask: (client: ConductorClient) => Promise<View>,
): Promise<LocalAnswer<View>> {
  const place = findApi(config.settings);
  const unanswered = { view: undefined, isRefused: false };
  if (place === undefined) return { ...unanswered, why: 'no daemon is up here', url: undefined };
  const { url } = place;
  const token = readToken(config);
  if (token === undefined) return { ...unanswered, why: 'there is no token to send', url };
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    return {
      view: await ask(
        createConductorClient({ baseUrl: url, token, fetch: (to, init) => fetch(to, { ...init, signal }) }),
      ),
    };
  } catch (error) {
    if (error instanceof ConductorApiError)
      return { view: undefined, why: error.message, url, isRefused: error.status !== 0 };
    if (error instanceof DOMException && error.name === 'TimeoutError') {
      return { ...unanswered, why: `it gave no answer within ${PATIENCE_MS} ms`, url };
    }
    throw error;
  }
}

/** A daemon that is stopped or swapped out must not keep the command from reading the files. */
const PATIENCE_MS = 3_000;
