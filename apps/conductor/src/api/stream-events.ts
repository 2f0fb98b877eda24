/** The events of a run's stream. Invariant: an event's id says all that was delivered, so that none comes twice or never. */
import type { z } from 'zod';

import { runEventView, runFullView } from '../views/run-views.ts';
import type { OutputEventView, RunEndView, RunEventView } from '../views/types.ts';
import { atMs, count, oneOf, text, view } from '../views/view.ts';

/** `event: output`. */
const outputEventView: z.ZodType<OutputEventView> = view<OutputEventView>(
  'OutputEventView',
  'Output that appeared',
  {
    seq: count("Its number in the run's one sequence of events and output"),
    atMs: atMs('When it was seen'),
    channel: oneOf(['stdout', 'stderr'], 'Whose output'),
    offset: count('Where it begins in its channel, in bytes'),
    bytes: count('How many bytes of the channel it stands for'),
    text: text('The bytes as UTF-8; what is none is U+FFFD, and readOutput has the bytes'),
  },
);

/** `event: end`. */
const runEndView: z.ZodType<RunEndView> = view<RunEndView>(
  'RunEndView',
  'The end of a stream: the run has ended, or there is no more for now',
  { run: runFullView },
);

/** Each event by its name. */
export const STREAM_EVENTS: {
  readonly output: z.ZodType<OutputEventView>;
  readonly event: z.ZodType<RunEventView>;
  readonly end: z.ZodType<RunEndView>;
} = { output: outputEventView, event: runEventView, end: runEndView };
