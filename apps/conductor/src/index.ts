export { runCli } from './cli.ts';
export { ConductorError, type ConductorErrorCode } from './errors.ts';
export type { CliIo } from './io.ts';
export { createProcessIo } from './process-io.ts';
