/**
 * Both output channels of a run: who writes to them, who follows them, and how they end.
 * Invariant: a channel serves children or in-process writers, never both; nothing follows it after `finish` or `stop`.
 */
import type { ChannelFile } from './channel-file.ts';
import { LoggingError } from './errors.ts';
import { createInProcessOutput, type InProcessOutput } from './in-process-output.ts';
import { createOutputFollower, type OutputFollower } from './output-follower.ts';
import { createOutputLimits, type OutputLimits } from './output-limits.ts';
import type { RunPaths } from './run-paths.ts';
import type { DroppedRange, OutputChannelName } from './run-records.ts';
import type { ChildDescriptor, OutputChannel } from './run-writer.ts';
import { writeFailed, type WriterFiles } from './writer-files.ts';
import type { WriterSettings } from './writer-options.ts';

/** @internal */
export interface RunOutput {
  channel(name: OutputChannelName): OutputChannel;
  /** In-process output taken so far is in the files; throws what the system threw. */
  flush(): void;
  /** See `RunWriter.finishOutput`; rejects with what the system threw, and may then be called again. */
  finish(): Promise<void>;
  /** Stops following. Files stay open. */
  stop(): void;
}

/** @internal */
export interface RunOutputOptions extends WriterFiles {
  readonly paths: RunPaths;
  readonly settings: WriterSettings;
  readonly droppedOf: (channel: OutputChannelName) => DroppedRange | undefined;
  readonly onDropped: (channel: OutputChannelName, range: DroppedRange) => void;
  /** Something was written in the background. */
  readonly onSuccess: () => void;
  /** Something failed in the background. */
  readonly onFailure: (error: unknown) => void;
  /** Called after each round of following. */
  readonly onRound: () => void;
  /** Throws when the writer is closed. */
  readonly requireOpen: () => void;
}

/** @internal */
export function createRunOutput(options: RunOutputOptions): RunOutput {
  const { channels, onFailure } = options;
  const both = [channels.stdout, channels.stderr];
  const limits = createOutputLimits({ ...options.settings, ...options, onFailure });
  const inProcess = createInProcessOutput({ ...options, redactor: options.settings.redactor });
  const follower = createOutputFollower({
    clock: options.settings.clock,
    onFailure,
    onSuccess: options.onSuccess,
    onRound(followed) {
      limits.balance(followed);
      for (const file of both) {
        void limits.enforce(file);
        void limits.trim(file);
      }
      options.onRound();
    },
  });
  const claims = createClaims(options);
  const parts: OutputParts = { options, follower, inProcess, claims };
  const outputs = {
    stdout: createChannel(channels.stdout, parts),
    stderr: createChannel(channels.stderr, parts),
  };

  return {
    channel: (name) => outputs[name],
    flush: () => inProcess.flush(),
    async finish() {
      follower.stop();
      inProcess.end();
      for (const file of both) await finishChannel(file, limits);
      claims.end();
    },
    stop: () => follower.stop(),
  };
}

interface OutputParts {
  readonly options: RunOutputOptions;
  readonly follower: OutputFollower;
  readonly inProcess: InProcessOutput;
  readonly claims: Claims;
}

function createChannel(file: ChannelFile, parts: OutputParts): OutputChannel {
  const { options, follower, inProcess, claims } = parts;
  const { channel } = file;
  return {
    channel,
    openForChild() {
      claims.claim(channel, 'child');
      const fd = openForChild(options.paths, file);
      follower.follow(file);
      return childDescriptor(fd, () => options.settings.files.close(fd));
    },
    followChild() {
      claims.claim(channel, 'child');
      follower.follow(file);
    },
    writable() {
      claims.claim(channel, 'writable');
      follower.start();
      return inProcess.writable(channel);
    },
  };
}

async function finishChannel(file: ChannelFile, limits: OutputLimits): Promise<void> {
  await file.finish(nextTurn);
  await limits.settle(file);
}

interface Claims {
  /** Throws LoggingError `output-claimed` or `closed`. */
  claim(channel: OutputChannelName, use: 'child' | 'writable'): void;
  /** No further claims. */
  end(): void;
}

function createClaims({ paths, channels, requireOpen }: RunOutputOptions): Claims {
  const uses = new Map<OutputChannelName, 'child' | 'writable'>();
  for (const file of [channels.stdout, channels.stderr]) {
    // A child of the process before us may still write to it.
    if (file.hasSpool()) uses.set(file.channel, 'child');
  }
  let isEnded = false;
  return {
    claim(channel, use) {
      requireOpen();
      if (isEnded) {
        throw new LoggingError(
          'closed',
          `Cannot write output "${channel}" of run "${paths.runId}": output is finished, expected it before finishOutput`,
        );
      }
      const current = uses.get(channel) ?? use;
      if (current !== use) {
        throw new LoggingError(
          'output-claimed',
          `Cannot open output "${channel}" of run "${paths.runId}" as ${use}: in use as ${current}, expected one use`,
        );
      }
      uses.set(channel, use);
    },
    end() {
      isEnded = true;
    },
  };
}

function openForChild(paths: RunPaths, file: ChannelFile): number {
  try {
    return file.openForChild();
  } catch (error) {
    throw writeFailed(paths, error);
  }
}

function childDescriptor(fd: number, closeFd: () => void): ChildDescriptor {
  let isOpen = true;
  const close = (): void => {
    if (isOpen) closeFd();
    isOpen = false;
  };
  return { fd, close, [Symbol.dispose]: close };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
