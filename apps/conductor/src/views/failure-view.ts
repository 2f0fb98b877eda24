/** What every command prints with `--json` when it fails. */
import type { z } from 'zod';

import type { FailureErrorView, FailureView } from './types.ts';
import { anyJson, mapOf, orNull, text, view, whole } from './view.ts';

const failureErrorView: z.ZodType<FailureErrorView> = view<FailureErrorView>(
  'FailureErrorView',
  'Why a command failed',
  {
    code: text(
      "A stable word: one of conductor's or a package's error codes, or that of the operating system, such as EACCES",
    ),
    message: text('One sentence; also on stderr'),
    hint: orNull(text('What to do next, one sentence')),
    details: mapOf(anyJson('More, by name'), 'More for programs; empty when there is nothing to add'),
    exitCode: whole('The exit code of the command'),
  },
);

/** In place of the document of a command that failed. */
export const failureView: z.ZodType<FailureView> = view<FailureView>(
  'FailureView',
  'A command that failed, in place of its own document',
  { error: failureErrorView },
);
