/** Routes of runs: they translate, the packages decide. */
import { openRun } from '@conductor-run/logging';
import type { FastifyPluginAsync } from 'fastify';

import { DEFAULT_LIMIT } from '../api/endpoint.ts';
import * as raw from '../api/raw-endpoints.ts';
import * as api from '../api/run-endpoints.ts';
import { requireCheckpoint } from '../checkpoint-selector.ts';
import type { RecordPlace } from '../record/record-place.ts';
import { readRunChanges } from '../record/run-changes.ts';
import { createRunIndex } from '../record/run-index.ts';
import {
  cancelRunOf,
  readCheckpointDiff,
  readCheckpointPage,
  readCheckpointRecords,
  readRunEvents,
  readRuns,
  readTail,
} from '../record/runs.ts';
import { requireRun } from '../run-selector.ts';
import { pruneTaskRuns } from '../task-runs.ts';
import { toCheckpointView } from '../views/checkpoint-views.ts';
import { toPruneRunsView, toRunFullView } from '../views/run-views.ts';
import type { EventStreams } from './event-stream.ts';
import { mount, mountRaw } from './mount.ts';
import { parsePosition, startPosition, toStreamEvents } from './run-stream.ts';

/**
 * Makes the routes.
 *
 * @param place - the record
 * @param streams - sends what is followed
 */
export function createRunRoutes(place: RecordPlace, streams: EventStreams): FastifyPluginAsync {
  const { config, store, clock } = place;
  const { runsDir } = config.settings;
  const index = createRunIndex(runsDir, clock);
  return async (app) => {
    mount(app, api.listRuns, ({ query: { limit = DEFAULT_LIMIT, ...query } }) =>
      readRuns(index, { ...query, limit }),
    );
    mount(app, api.showRun, async ({ params }) => ({
      run: toRunFullView(await requireRun(index, params.run)),
    }));
    mount(app, api.listRunEvents, async ({ params, query: { limit = DEFAULT_LIMIT, cursor } }) =>
      readRunEvents(await requireRun(index, params.run), clock, { limit, cursor }),
    );
    mount(app, api.tailRun, async ({ params, query: { channel = 'combined', lines = 100 } }) =>
      readTail(await requireRun(index, params.run), clock, { channel, lines }),
    );
    mount(app, api.diffRun, async ({ params }) => {
      const changes = await readRunChanges(await requireRun(index, params.run), clock);
      return changes.view();
    });
    mount(app, api.cancelRun, async ({ params }) => cancelRunOf(store, await requireRun(index, params.run)));
    mount(app, api.pruneRuns, async ({ body: { isDryRun = false, ...limits } }) => {
      const { maxAgeMs, maxRuns, maxBytes } = limits;
      const policy = {
        dryRun: isDryRun,
        ...(maxAgeMs !== undefined && { maxAgeMs }),
        ...(maxRuns !== undefined && { maxRuns }),
        ...(maxBytes !== undefined && { maxBytes }),
      };
      return toPruneRunsView(await pruneTaskRuns({ runsDir, store, clock }, policy), isDryRun);
    });
    mount(app, api.listCheckpoints, async ({ params, query: { limit = DEFAULT_LIMIT, cursor } }) =>
      readCheckpointPage(await requireRun(index, params.run), { limit, cursor }),
    );
    mount(app, api.showCheckpoint, async ({ params: { run: selector, seq } }) => {
      const run = await requireRun(index, selector);
      const record = requireCheckpoint(await readCheckpointRecords(run), run.paths.runId, seq);
      return { runId: run.paths.runId, checkpoint: toCheckpointView(record) };
    });
    mount(app, api.diffCheckpoint, async ({ params: { run, seq }, query: { fromSeq } }) =>
      readCheckpointDiff(await requireRun(index, run), fromSeq, seq, clock),
    );

    mountRaw(app, raw.readOutput, async ({ params, query }, reply) => {
      const { offset = 0, length = api.MAX_OUTPUT_BYTES } = query;
      const run = await requireRun(index, params.run);
      const bytes = await openRun(run.paths, { clock }).readRange(params.channel, offset, length);
      void reply.type(raw.readOutput.contentType);
      return bytes;
    });
    mountRaw(app, raw.readPatch, async ({ params }, reply) => {
      const changes = await readRunChanges(await requireRun(index, params.run), clock);
      void reply.type(raw.readPatch.contentType);
      return changes.openPatch();
    });
    mountRaw(app, raw.followRun, async ({ params, query }, reply, headers) => {
      const { channel = 'combined', live = true, tail } = query;
      const lastEventId = headers['last-event-id'];
      const run = await requireRun(index, params.run);
      const reader = openRun(run.paths, { clock });
      const from =
        typeof lastEventId === 'string'
          ? parsePosition(lastEventId)
          : await startPosition(reader, channel, tail);
      // An EventSource comes back whenever a stream ends; 204 tells it to stay away.
      if (from.isEnded) return reply.code(204).send();
      await streams.send(reply, (signal) => toStreamEvents(reader, from, { channel, live, signal }));
      return reply;
    });
  };
}
