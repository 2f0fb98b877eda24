/** The variables every step gets from conductor, as data: the reference page is made from it, and a test compares with a real step. */

/** One variable. */
export interface StepVariable {
  readonly name: string;
  /** What it holds, one phrase. */
  readonly description: string;
  /** When it is there; `undefined` for always. */
  readonly when?: string;
}

/** In the order of the reference page. */
export const STEP_VARIABLES: readonly StepVariable[] = [
  { name: 'CONDUCTOR_JOB', description: 'name of the job; `exec` for `conductor exec`' },
  { name: 'CONDUCTOR_KEY', description: 'key of the job, `default` unless `--key` or a client gave another' },
  { name: 'CONDUCTOR_STEP', description: 'name of the step; `main` for a job with one command' },
  {
    name: 'CONDUCTOR_WATERMARK',
    description: 'how new the input is that this attempt covers: of a schedule the slot in UTC milliseconds',
  },
  { name: 'CONDUCTOR_ATTEMPT', description: 'which attempt of the job it is, from 1' },
  { name: 'CONDUCTOR_TASK_ID', description: 'id of the task, the same for all steps of an attempt' },
  { name: 'CONDUCTOR_RUN_ID', description: 'id of the run, one for each step' },
  { name: 'CONDUCTOR_RUN_DIR', description: 'folder of the run, absolute' },
  { name: 'CONDUCTOR_ARTIFACTS_DIR', description: 'folder for files to keep with the run, absolute' },
  { name: 'CONDUCTOR_EVENTS_FD', description: 'descriptor to write events to, one JSON object a line' },
  { name: 'CONDUCTOR_REPLIES_FD', description: 'descriptor to read answers to questions from' },
  { name: 'PYTHONUNBUFFERED', description: '`1`, so that what Python prints is in the log at once' },
  { name: 'TMPDIR', description: 'the setting `tmpDir`', when: '`tmpDir` is set' },
  { name: 'TRACEPARENT', description: 'W3C trace context', when: 'the job was submitted over ARCP' },
];
