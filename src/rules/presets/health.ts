/** What tells who a patient is. The eighteen identifiers of HIPAA's safe harbour are the guide; names cannot be told by a pattern. */
import { detects, type PresetEntry, pattern } from './preset-rule.ts'

const safeHarbour = (item: string, more = ''): string => `HIPAA 45 CFR 164.514(b)(2)(i)(${item})${more}; GDPR Art. 9(1)`

const IS = '\\s*[:#=]?\\s*(?:(?:is|ist|est|es|on|am|le|el)\\s+)?'
/** A code of ICD-10 with its subdivision; without one it could be anything. */
const CODE = '\\b[A-TV-Z]\\d[\\dAB]\\.[\\dA-Z]{1,4}\\b'
const PERSON = '\\b(?:patient(?:in|e)?|paciente|MRN|DOB|Mr?s?\\.|Herrn?|Frau|Mme)'

export const health: readonly PresetEntry[] = [
  {
    name: 'E-mail address',
    purpose: 'E-mail addresses, which name patients and relatives.',
    article: safeHarbour('F'),
    condition: detects('email'),
    action: 'REDACT',
    match: ['jane.doe@example.org', 'Write to <j_d+lab@mail.example.co.uk>.', 'a@b.io', 'jane [at] example [dot] org'],
    pass: ['@jane', 'meet us at example hall', 'user@localhost'],
  },
  {
    name: 'Telephone or fax number',
    purpose: 'International numbers, North American ones as they are written there, and others right after a word that calls them so.',
    article: safeHarbour('D', ', (E)'),
    condition: detects('phone'),
    action: 'REDACT',
    match: ['+1 (202) 555-0143', 'call (212) 555-0143 after five', 'Tel. 06 12 34 56 78', 'Handy: 0171 2345678'],
    pass: ['build 212.555.0143', '2024-11-05-1234', 'version 10.0.22631.3007', 'telephone 12'],
  },
  {
    name: 'Medical record number',
    purpose: 'Record and patient numbers, where the text calls them so, in English, German, French or Spanish.',
    article: safeHarbour('H'),
    condition: detects('medical_record_number'),
    action: 'REDACT',
    match: ['MRN: 123456', 'Medical record number 00-123-456', 'patient ID is AB1234567', 'Patientennummer: 4711-0815', 'Numéro de dossier : 20231234'],
    pass: ['the MRN is not known', 'patient number 3', 'record number of patients in 2024', 'Fallnummer 12'],
  },
  {
    name: 'Date of birth',
    purpose: 'Dates of birth, where the text calls them so, in English, German, French or Spanish.',
    article: safeHarbour('C'),
    condition: detects('birth_date'),
    action: 'REDACT',
    match: [
      'DOB: 04/12/1961',
      'date of birth 1961-12-04',
      'she was born on 4 December 1961',
      'Born: March 3, 1980',
      'geb. 04.12.1961',
      'née le 4 décembre 1961',
      'fecha de nacimiento: 4 de mayo de 1980',
    ],
    pass: ['the meeting is on 04/12/2026', 'born in Vienna', 'date of birth unknown', 'née Smith, 4 children'],
  },
  {
    name: 'Insurance or provider number',
    purpose: 'Medicare beneficiary identifiers, NPI, NHS and German insurance numbers, by their shape and check digits.',
    article: safeHarbour('I', ', (K)'),
    condition: detects('health_id'),
    action: 'REDACT',
    match: ['MBI 1EG4-TE5-MK73', 'NPI 1234567893', 'NHS number: 943 476 5919', 'Versichertennummer A123456780'],
    pass: ['1234567893', 'NPI 1234567890', 'NHS trust 943 476 5918', 'version 1EG4-TE5-MK7'],
  },
  {
    name: 'Health plan member number',
    purpose: 'Member, policy and subscriber numbers of insurers, right after such a word.',
    article: safeHarbour('I'),
    condition: pattern(
      `\\b(?:member|subscriber|beneficiary|policy\\s*holder|insurance(?:\\s+policy)?|medicaid|health\\s+plan)\\s+(?:id|number|no\\.?|#)${IS}[A-Z]{0,4}-?\\d[\\dA-Z-]{4,14}\\b`,
    ),
    action: 'REDACT',
    match: ['Member ID: XYZ123456789', 'insurance policy number 12-345678', 'Medicaid number is 9876543210'],
    pass: ['member id required', 'insurance number 12', 'health plan no. 3', 'the number of members is 123456'],
  },
  {
    name: 'Diagnosis beside a person',
    purpose: 'A diagnosis code (ICD-10 with its subdivision) in one sentence with what names a patient. Codes alone pass: they are how medicine talks.',
    article: 'GDPR Art. 9(1) (health data); HIPAA 45 CFR 160.103 (individually identifiable health information)',
    condition: pattern(`${PERSON}[^!?\\n]*${CODE}|${CODE}[^!?\\n]*${PERSON}`),
    action: 'REDACT',
    match: ['Patient John has E11.9', 'F32.1, says the chart of Mrs. Smith', 'MRN 5512 shows I25.10 since May', 'Frau Huber: J45.9'],
    pass: ['What does E11.9 mean?', 'the patient is well', 'version v1.2 for patients', 'The patient waits.\nE11.9 is a code.'],
  },
  {
    name: 'Laboratory or prescription number',
    purpose: 'Numbers of samples, prescriptions, admissions and devices, right after such a word.',
    article: safeHarbour('M', ', (R)'),
    condition: pattern(
      `\\b(?:specimen|accession|sample|prescription|rx|admission|encounter|device\\s+serial|implant\\s+serial|rezept|auftrags?)[\\s-]*(?:id|number|no\\.?|nr\\.?|nummer|#)${IS}[A-Z]{0,3}-?\\d[\\dA-Z-]{4,14}\\b`,
    ),
    action: 'REDACT',
    match: ['Accession number: A2024-00123', 'Rx # 7712345', 'device serial no. SN4711-2234', 'prescription number 123456'],
    pass: ['sample number 3', 'Rx means prescription', 'the number of admissions was 12345', 'accession number unknown'],
  },
  {
    name: 'Health facts about a named person',
    purpose:
      'Sensitive conditions (HIV, abortion, addiction, psychiatric) in one sentence with what names a patient: a warning, because a name cannot be told for sure.',
    article: 'GDPR Art. 9(1); 42 CFR Part 2 (substance use disorder records)',
    condition: pattern(`${PERSON}[^!?\\n]*\\b(?:HIV|AIDS|abortion|overdose|addict(?:ed|ion)|schizophreni\\w+|bipolar|suicid\\w+|alcoholi(?:c|sm)|rehab)\\b`),
    action: 'WARN',
    match: ['Patient Miller is HIV positive', 'Mr. Jones was treated for alcoholism', 'Frau Huber: schizophrenia since 2019'],
    pass: ['How is HIV treated?', 'Patients wait in the hall', 'Mr. Jones works in a rehearsal room'],
  },
]
