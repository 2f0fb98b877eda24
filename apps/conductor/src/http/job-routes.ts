/** Routes of jobs: they translate, the store decides. */
import type { FastifyPluginAsync } from 'fastify';

import { DEFAULT_LIMIT } from '../api/endpoint.ts';
import * as api from '../api/job-endpoints.ts';
import { enqueueJob, readAttempts, readJobs, requireJob, steerKind } from '../record/jobs.ts';
import type { RecordPlace } from '../record/record-place.ts';
import { readWhy } from '../record/slots.ts';
import { toJobView } from '../views/job-views.ts';
import { DEFAULT_KEY } from '../wire.ts';
import { mount } from './mount.ts';

/**
 * Makes the routes.
 *
 * @param place - the record
 */
export function createJobRoutes(place: RecordPlace): FastifyPluginAsync {
  const { store } = place;
  return async (app) => {
    mount(app, api.listJobs, ({ query: { limit = DEFAULT_LIMIT, ...query } }) =>
      readJobs(place, { ...query, limit }),
    );
    mount(app, api.showJob, async ({ params: { job }, query: { key = DEFAULT_KEY } }) => ({
      job: toJobView(await requireJob(place, job, key)),
    }));
    mount(app, api.listAttempts, ({ params: { job }, query }) => {
      const { key = DEFAULT_KEY, limit = DEFAULT_LIMIT, cursor } = query;
      return readAttempts(place, job, key, { limit, cursor });
    });
    mount(app, api.explainJob, ({ params: { job }, query: { key = DEFAULT_KEY, atMs } }) =>
      readWhy(place, job, key, atMs),
    );
    mount(app, api.enqueueJob, ({ params: { job }, body: { key = DEFAULT_KEY, ...body } }) =>
      enqueueJob(place, job, { key, ...body }),
    );
    for (const [endpoint, verb] of [
      [api.cancelJob, 'cancel'],
      [api.retryJob, 'retry'],
      [api.removeJob, 'remove'],
    ] as const) {
      mount(app, endpoint, async ({ params: { job }, query: { key = DEFAULT_KEY } }) => {
        await requireJob(place, job, key);
        return { job, key, outcome: await store[verb](job, key) };
      });
    }
    for (const [endpoint, verb] of [
      [api.pauseJob, 'pause'],
      [api.resumeJob, 'resume'],
    ] as const) {
      mount(app, endpoint, ({ params: { job } }) => steerKind(place, verb, job));
    }
  };
}
