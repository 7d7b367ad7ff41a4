/** The contexts of Annex III of the EU AI Act: a person has to look before a model decides there. Asking about them passes. */
import type { PresetEntry } from './preset-rule.ts'
import { request } from './requests.ts'

const about = (what: string): string => `${what} Needs a request in one sentence; somebody has to approve it.`
const asked = (activities: readonly string[], things?: readonly string[]) => request({ activities, ...(things && { things }) })
const article = (point: string, what: string): string => `EU AI Act Annex III(${point}): ${what}; Art. 6(2), 14, 26`

/** Between a verb and what it is about: not beyond the sentence. */
const ON = '\\s+[^.!?\\n]*\\b'
const THE = '(?:(?:the|this|these|those|our|all|each|every|his|her|their|an?|whether|if|who|which|what|of)\\s+)*'

export const highRisk: readonly PresetEntry[] = [
  {
    name: 'Biometrics',
    purpose: about('Identifying or categorising people, or reading their emotions, by face, voice or gait.'),
    article: article('1', 'biometrics'),
    condition: asked(
      [
        `(?:identif(?:y|ies)|recogni[sz]es?|match(?:es)?|classif(?:y|ies)|infers?|detects?)${ON}(?:person|people|who|identity|customers?|visitors?|speakers?|emotions?|age|gender)\\b[^.!?\\n]*\\b(?:faces?|facial|voices?|voiceprints?|gait|iris|fingerprints?|biometrics?)\\b`,
      ],
      ['(?:fac(?:e|ial)|voice|gait|iris|emotion|biometric)[\\s-](?:recognition|identification|categori[sz]ation)'],
    ),
    action: 'ESCALATE',
    match: [
      'Build a facial recognition system for our lobby',
      'Identify the person in this photo by his face',
      'Train a model that detects age and gender from faces',
    ],
    pass: [
      'How does facial recognition work?',
      'Recognise the pattern in this series',
      'Write an essay about iris recognition',
      'Match the person to the address in the table',
    ],
  },
  {
    name: 'Critical infrastructure',
    purpose: about('Steering or protecting traffic, water, gas, heating, electricity or digital infrastructure.'),
    article: article('2', 'critical infrastructure'),
    condition: asked([
      `(?:controls?|steers?|operates?|manages?|shuts?\\s+(?:down|off)|opens?|closes?|switch(?:es)?|regulates?|dispatch(?:es)?)${ON}(?:power\\s+(?:grid|plant|station)s?|electricity\\s+(?:grid|network)s?|substations?|water\\s+(?:supply|treatment|works)|gas\\s+(?:pipelines?|supply|network)|district\\s+heating|traffic\\s+lights?|railway\\s+signals?|dams?|floodgates?|nuclear|scada)\\b`,
    ]),
    action: 'ESCALATE',
    match: [
      'Build an AI that controls the power grid of the district',
      'Shut down substation 7 if the load exceeds 90 percent',
      'Please open the valves of the water supply by this plan',
      'Write a program that switches the traffic lights',
    ],
    pass: ['How does a power grid work?', 'Open the settings and explain the grid', 'Control the game with the keyboard', 'Close the pipeline in CI'],
  },
  {
    name: 'Education',
    purpose: about('Admission, grading, levels and cheating: what decides about somebody in education.'),
    article: article('3', 'education and vocational training'),
    condition: asked([
      `(?:grades?|marks?|scores?|evaluates?)\\s+${THE}(?:\\w+.?s?\\s+)?(?:students?|pupils?|exams?|essays?|homework|term\\s+papers?|theses|thesis|tests?\\s+of)\\b`,
      `(?:decides?|determines?|selects?|predicts?|chooses?|ranks?)${ON}(?:(?:students?|pupils?|applicants?|children)\\b[^.!?\\n]*\\b(?:admitted|admission|admit|university|college|school|degree|drop\\s+out|pass(?:es)?|fails?|expelled)|admitted\\s+to)\\b`,
      `(?:detects?|flags?|monitors?)${ON}(?:cheating|prohibited\\s+behaviou?r)\\b[^.!?\\n]*\\b(?:students?|exams?|tests?|pupils?)\\b`,
    ]),
    action: 'ESCALATE',
    match: [
      'Grade these student essays from A to F',
      'Decide which applicants are admitted to the university',
      'Build a tool that detects cheating in online exams',
      'Predict which pupils will drop out',
    ],
    pass: [
      'Give me feedback on my own essay',
      'What is a good essay?',
      'Explain how universities select students',
      'Grade the road to the school',
      'Help me revise for my exam',
    ],
  },
  {
    name: 'Employment',
    purpose: about('Recruiting, promotion, dismissal, task allocation and monitoring of people who work.'),
    article: article('4', 'employment, workers management and access to self-employment'),
    condition: asked([
      `(?:ranks?|scores?|rates?|shortlists?|filters?|screens?|selects?|rejects?|evaluates?|assess(?:es)?|sorts?)\\s+${THE}(?:job\\s+|\\d+\\s+|best\\s+)?(?:candidates?|applicants?|applications|CVs?|résumés?|resumes?|employees?|workers?|staff)\\b`,
      `(?:decides?|determines?|predicts?|recommends?|chooses?|picks?)${ON}(?:(?:who|whom|employees?|workers?|staff|candidates?|applicants?)\\b[^.!?\\n]*\\b(?:hired?|fired?|promot\\w+|dismiss\\w*|laid\\s+off|lay\\s+off|bonus|raise|terminat\\w+))\\b`,
      `(?:monitors?|tracks?|watch(?:es)?|surveils?)\\s+${THE}(?:employees?|workers?|staff|(?:delivery|taxi|truck|bus)\\s+drivers?|colleagues)\\b`,
    ]),
    action: 'ESCALATE',
    match: [
      'Rank these applicants for the role',
      'Write a script that filters CVs by school',
      'Decide who of the team is fired',
      'Please monitor the employees by their keystrokes',
      'Predict which employees should be promoted',
    ],
    pass: ['Write a job advertisement', 'What should a good CV contain?', 'Sort the files by name', 'How do companies promote people?'],
  },
  {
    name: 'Public benefits',
    purpose: about('Whether somebody gets, keeps or loses benefits, housing, asylum support or health care.'),
    article: article('5(a)', 'essential public assistance benefits and services'),
    condition: asked([
      `(?:decides?|determines?|assess(?:es)?|evaluates?|checks?|den(?:y|ies)|approves?|reduces?|revokes?|cuts?|grants?)${ON}(?:eligib(?:le|ility)\\b[^.!?\\n]*\\b(?:benefits?|welfare|housing|medicaid|food\\s+stamps|assistance|allowance|pension)|(?:welfare|unemployment|housing|disability|social|child)\\s+(?:benefits?|allowances?|assistance|security|support|payments?)|food\\s+stamps)\\b`,
    ]),
    action: 'ESCALATE',
    match: [
      'Decide whether this family is eligible for housing benefits',
      'Build a model that revokes unemployment benefits',
      'Assess the welfare payments of this household',
      'Deny the disability allowance if the income is higher',
    ],
    pass: [
      'Which benefits does a family have in Austria?',
      'How is eligibility for welfare decided?',
      'Assess the benefits of exercise',
      'Check the housing of the gearbox',
    ],
  },
  {
    name: 'Credit and insurance',
    purpose: about('Creditworthiness of people, and risk and price of their life and health insurance.'),
    article: article('5(b), 5(c)', 'creditworthiness, life and health insurance'),
    condition: asked(
      [
        `(?:scores?|rates?|assess(?:es)?|evaluates?|determines?|predicts?|calculates?|estimates?|decides?|approves?|rejects?)${ON}(?:creditworth(?:y|iness)|credit\\s+(?:scores?|risk)|loan\\s+(?:applications?|applicants?|defaults?)|borrowers?|(?:gets?|receives?|qualif(?:y|ies)\\s+for)\\s+(?:an?\\s+|the\\s+)?(?:loan|mortgage|credit)|(?:life|health)\\s+insurance\\s+(?:premiums?|risk|applications?|price))\\b`,
      ],
      ['credit[\\s-]scoring'],
    ),
    action: 'ESCALATE',
    match: [
      'Assess the creditworthiness of this customer',
      'Build a credit scoring model for the bank',
      'Approve or reject the loan application below',
      'Write code that calculates the health insurance premium by age',
    ],
    pass: ['What is a credit score?', 'Explain credit scoring to a child', 'Calculate the sum of the columns', 'Rate the film'],
  },
  {
    name: 'Emergency calls',
    purpose: about('Rating emergency calls, dispatching helpers, and triage of patients.'),
    article: article('5(d)', 'emergency calls and triage'),
    condition: asked([
      `(?:triages?|prioriti[sz]es?|ranks?|classif(?:y|ies)|evaluates?|dispatch(?:es)?|decides?|sorts?)${ON}(?:emergency\\s+(?:calls?|patients?|room|department|services?)|911\\s+calls?|112\\s+calls?|ambulances?|firefighters|fire\\s+engines?|(?:incoming|waiting|er)\\s+patients|patients\\s+by\\s+(?:urgency|severity))\\b`,
    ]),
    action: 'ESCALATE',
    match: [
      'Triage these emergency calls',
      'Build an AI that prioritises incoming patients',
      'Decide which ambulance goes first',
      'Classify the 911 calls by urgency',
    ],
    pass: ['What does triage mean?', 'Prioritise the tickets by severity', 'How do I become a dispatcher of ambulances?', 'Triage the GitHub issues'],
  },
  {
    name: 'Law enforcement',
    purpose: about('Risk of victims or offenders, lie detection, weighing of evidence, profiling in an investigation.'),
    article: article('6', 'law enforcement'),
    condition: asked(
      [
        `(?:predicts?|assess(?:es)?|evaluates?|estimates?|scores?|profiles?|detects?|weighs?|flags?|decides?|rates?)${ON}(?:suspects?|offenders?|recidivism|reoffend\\w*|re-offend\\w*|criminals?|parolees?|bail|victims?\\s+of\\s+crime|reliability\\s+of\\s+(?:the\\s+)?(?:evidence|witness(?:es)?)|(?:suspect|witness)(?:es|.s)?\\s+(?:lie|lies|lying|deception)|police\\s+(?:report|interview)s?)\\b`,
      ],
      ['(?:polygraph|lie[\\s-]detect(?:ion|or))'],
    ),
    action: 'ESCALATE',
    match: [
      'Assess whether this suspect is lying',
      'Build a model that predicts recidivism',
      'Evaluate the reliability of the evidence in this case',
      'Score the offenders by risk',
      'Create a lie detector for interviews',
    ],
    pass: ['How reliable is a polygraph?', 'Write a crime novel about a suspect', 'Rate my police costume', 'Detect the bug in the report'],
  },
  {
    name: 'Migration and borders',
    purpose: about('Asylum, visas, residence permits, and risks of people at a border.'),
    article: article('7', 'migration, asylum and border control'),
    condition: asked([
      `(?:decides?|assess(?:es)?|evaluates?|predicts?|scores?|screens?|approves?|rejects?|den(?:y|ies)|examines?|checks?|flags?|determines?)${ON}(?:asylum(?:\\s+(?:applications?|seekers?|claims?|requests?))?|visa\\s+(?:applications?|applicants?|requests?)|residence\\s+permits?|refugees?|migrants?|(?:illegal|irregular)\\s+(?:immigration|immigrants?|migration)|border\\s+cross(?:ings?|ers))\\b`,
    ]),
    action: 'ESCALATE',
    match: [
      'Assess this asylum application',
      'Build a system that screens visa applicants by risk',
      'Decide whether the residence permit is extended',
      'Predict irregular migration of refugees by person',
    ],
    pass: ['How do I apply for a visa?', 'What is the right to asylum?', 'Check the border radius of the card', 'Write a letter in support of a refugee camp'],
  },
  {
    name: 'Justice and elections',
    purpose: about('Deciding cases, finding facts or law for a court, and steering how people vote.'),
    article: article('8', 'administration of justice and democratic processes'),
    condition: asked([
      `(?:decides?|determines?|recommends?|proposes?|predicts?|calculates?|judges?|sets?)${ON}(?:sentences?\\s+(?:for|of)\\s+(?:the\\s+|this\\s+|a\\s+)?(?:defendant|accused|convict\\w*)|guilty|verdicts?|court\\s+(?:case|ruling|decision)s?|(?:defendant|accused)(?:.s)?\\s+(?:guilt|sentence)|custody\\s+of)\\b|(?:influences?|sways?|persuades?|targets?|convinces?|microtargets?|discourages?)${ON}(?:voters?|elections?|referend(?:um|a)|voting\\s+behaviou?r|turnout)\\b`,
    ]),
    action: 'ESCALATE',
    match: [
      'Decide whether the defendant is guilty',
      'Recommend a sentence for the accused',
      'Build a bot that persuades voters in swing districts',
      'Write a program that targets voters by their fears',
    ],
    pass: [
      'What is a fair sentence in grammar?',
      'Summarise this court ruling',
      'When is the election?',
      'Explain how voters are influenced',
      'Determine the case of the noun',
    ],
  },
]
