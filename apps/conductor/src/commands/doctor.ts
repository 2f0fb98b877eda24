/** `conductor doctor`: what will bite at night, and how to mend it. */
import type { Command } from 'commander';

import { type CliOptions, createContext, withCommonOptions } from '../context.ts';
import type { Check, CheckOptions, Finding } from '../doctor/finding.ts';
import { MACHINE_CHECKS } from '../doctor/machine-checks.ts';
import { STORE_CHECKS } from '../doctor/store-checks.ts';
import { EXIT } from '../exit-codes.ts';
import type { CliIo } from '../io.ts';
import { stripControl } from '../terminal/style.ts';
import { doctorView } from '../views/upkeep-views.ts';

/** Adds `doctor`. */
export function addDoctorCommand(program: Command, io: CliIo, finish: (exitCode: number) => void): void {
  withCommonOptions(
    program
      .command('doctor')
      .description(
        'check store, clock, disk, token, git and Node, and say how to mend; exits with 1 when something is bad',
      )
      .addHelpText('after', '\nExample:\n  conductor doctor --json'),
  ).action(async (options: CliOptions) => {
    const context = createContext(io, options);
    const results: { readonly name: string; readonly finding: Finding }[] = [];
    for (const check of [...STORE_CHECKS, ...MACHINE_CHECKS]) {
      const finding = await examine(check, { config: context.config, io });
      results.push({ name: check.name, finding });
      if (!context.json) context.print(describe(check.name, finding));
    }
    const isBad = results.some(({ finding }) => finding.status === 'bad');
    if (isBad) finish(EXIT.failed);
    if (context.json) {
      context.printJson(doctorView, {
        isHealthy: !isBad,
        checks: results.map(({ name, finding }) => ({ name, ...finding, mend: finding.mend ?? null })),
      });
    }

    function describe(name: string, { status, detail, mend }: Finding): string {
      const tone = status === 'ok' ? 'good' : status;
      const advice = mend === undefined ? '' : `      ${context.paint('dim', mend)}\n`;
      return `${context.paint(tone, status.padEnd(4))}  ${context.paint('strong', name)}  ${stripControl(detail)}\n${advice}`;
    }
  });
}

async function examine(check: Check, options: CheckOptions): Promise<Finding> {
  try {
    return await check.run(options);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { status: 'bad', detail: `cannot be checked: ${reason}`, mend: 'Mend what the message names.' };
  }
}
