/** The whole contract, as cases any test runner can run. */
import { attemptCases } from './attempt-cases.ts';
import { attemptRecordCases } from './attempt-record-cases.ts';
import { boundCases } from './bound-cases.ts';
import { claimCases } from './claim-cases.ts';
import type { ContractCase, ContractSetup } from './contract-case.ts';
import { enqueueCases } from './enqueue-cases.ts';
import { floodCases } from './flood-cases.ts';
import { leadershipCases } from './leadership-cases.ts';
import { transferCases } from './transfer-cases.ts';
import { upkeepCases } from './upkeep-cases.ts';

/**
 * Every behaviour a job store must have.
 *
 * @param setup - makes a fresh store of the engine under test for each case
 */
export function jobStoreContract(setup: ContractSetup): readonly ContractCase[] {
  return [
    ...enqueueCases(setup),
    ...claimCases(setup),
    ...attemptCases(setup),
    ...attemptRecordCases(setup),
    ...leadershipCases(setup),
    ...boundCases(setup),
    ...floodCases(setup),
    ...upkeepCases(setup),
    ...transferCases(setup),
  ];
}
