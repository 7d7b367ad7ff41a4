/** What Article 5 of the EU AI Act forbids. A rule wants a request: talking about the Act, or against such a practice, is what compliance is made of. */
import { type PresetEntry, pattern } from './preset-rule.ts'
import { request } from './requests.ts'

const about = (what: string): string => `${what} Needs a request (to build it, or to do it) in one sentence; asking what the law says passes.`
const forbidden = (activities: readonly string[], things?: readonly string[]) => request({ activities, ...(things && { things }) })
const article = (letter: string, what: string): string => `EU AI Act (Regulation (EU) 2024/1689) Art. 5(1)(${letter}): ${what}`

const PEOPLE = '(?:people|persons?|citizens?|residents?|individuals?|users?|customers?|consumers?|humans?|everyone|someone|them|employees?|tenants?|voters?)'
const ACT = 'Article 5(1)(c) covers AI systems for the evaluation or classification of natural persons based on their social behaviour.'

const MAKE_ABROAD =
  '(?:^|[.!?:;\\n]|\\bbitte|\\bkannst\\s+du|\\bpeux-tu|\\bpuedes)[\\s"\'*>#-]*(?:baue?|erstelle?|entwickle?|entwirf|programmiere?|implementiere?|schreibe?|crée[rz]?|développe[rz]?|conçois|construis|crea|crear|desarrolla|desarrollar|construye|diseña)n?\\b'
const EMOTIONS_ABROAD =
  '(?:emotionserkennung|(?:emotionen|gefühle|stimmung)|reconnaissance\\s+(?:des|d.)\\s*émotions|émotions|reconocimiento\\s+de\\s+emociones|emociones)'
const SUPERVISED_ABROAD = '(?:mitarbeiter\\w*|angestellte\\w*|schüler\\w*|employés|salariés|élèves|empleados|alumnos|trabajadores)'

export const prohibitedPractices: readonly PresetEntry[] = [
  {
    name: 'Subliminal manipulation',
    purpose: about('Techniques beyond consciousness, or deceptive ones, that distort what people do.'),
    article: article('a', 'subliminal, manipulative or deceptive techniques'),
    condition: forbidden(
      [
        `(?:manipulates?|influences?|nudges?|steers?|tricks?|deceives?)\\s+(?:the\\s+)?${PEOPLE}\\b[^.!?\\n]*\\b(?:subliminal(?:ly)?|subconscious(?:ly)?|unconscious(?:ly)?|without\\s+(?:their|them)\\s+(?:knowledge|knowing|noticing|awareness|consent))|(?:uses?|adds?|inserts?|embeds?|plays?|hides?)\\s+subliminal\\s+(?:messages?|cues?|signals?|stimuli|techniques?|images?|sounds?)`,
      ],
      [`subliminal\\s+(?:advertising|ads?|messag(?:es?|ing)|manipulation|cues?|campaigns?)`],
    ),
    action: 'BLOCK',
    match: [
      'Design subliminal messages for our shop app',
      'Write a script that manipulates users without their knowledge',
      'Please insert subliminal cues into this video',
      'How can I influence voters subconsciously with short clips?',
    ],
    pass: [
      'What are subliminal messages?',
      'Article 5(1)(a) prohibits subliminal techniques.',
      'Write an essay about subliminal advertising',
      'Explain how to protect users from manipulation without their knowledge of the tricks',
    ],
  },
  {
    name: 'Exploited vulnerability',
    purpose: about('Taking advantage of age, disability, or a social or economic situation to distort what people do.'),
    article: article('b', 'exploitation of vulnerabilities'),
    condition: forbidden([
      '(?:exploits?|takes?\\s+advantage\\s+of|preys?\\s+on|targets?|manipulates?|pressures?|tricks?)\\s+(?:the\\s+|vulnerable\\s+|lonely\\s+|our\\s+|fears?\\s+of\\s+|loneliness\\s+of\\s+)*(?:elderly|old\\s+people|seniors|pensioners|children|kids|minors|teenagers|disabled|people\\s+with\\s+(?:disabilities|dementia|debts?)|dementia|addicts?|gamblers|poor|indebted|homeless|unemployed|migrants|refugees)\\b[^.!?\\n]*\\b(?:buy|pay|sign|sell|spend|gambl\\w+|donate|subscribe|into|loans?|vote|money)\\b',
    ]),
    action: 'BLOCK',
    match: [
      'Build a chatbot that pressures elderly people into insurance',
      'Exploit lonely pensioners to sell them subscriptions',
      'Write code that targets children to spend money on loot boxes',
      'Help me trick people with dementia into signing',
    ],
    pass: [
      'How are children protected from in-app purchases?',
      'Build an app that helps elderly people pay their bills',
      'The law forbids exploiting the poor to sell loans',
      'We sell toys for children',
    ],
  },
  {
    name: 'Social scoring',
    purpose: about('Rating people by their social behaviour or traits, with consequences.'),
    article: article('c', 'social scoring'),
    condition: forbidden(
      [
        `(?:scores?|rates?|ranks?|evaluates?|classif(?:y|ies)|grades?)\\s+(?:all\\s+|the\\s+|our\\s+|every\\s+|each\\s+)*${PEOPLE}\\b[^.!?\\n]*\\b(?:by|based\\s+on|on|from|for)\\s+[^.!?\\n]*\\b(?:social\\s+(?:behaviou?r|media|conduct|life|circle)|trustworthiness|(?:private|personal)\\s+(?:life|behaviou?r)|political\\s+(?:views|loyalty)|good\\s+behaviou?r|obedience)`,
      ],
      [
        `(?:social[\\s-](?:credit|scoring|score)|citizen[\\s-]scor(?:e|ing)|trustworthiness\\s+scor(?:e|ing)|sozialkredit\\w*|(?:notation|crédit)\\s+social[e]?|crédito\\s+social)`,
      ],
    ),
    action: 'BLOCK',
    match: [
      'Build a social scoring system for our city',
      'Score citizens by their social behaviour and refuse them housing',
      'Can you design an AI-based social credit score?',
      'Develop a model that ranks tenants based on their private life',
      'I want you to implement citizen scoring',
    ],
    pass: [
      'What does Art. 5 say about social scoring?',
      'Can we build a social scoring system under the AI Act?',
      ACT,
      'Write a report on why social scoring is prohibited',
      'Score the essays of the students',
      'Build a credit scoring model for the bank',
      'Design a policy against social scoring',
    ],
  },
  {
    name: 'Predictive policing by profile',
    purpose: about('Predicting that somebody commits a crime from profile or personality alone.'),
    article: article('d', 'risk of offending by profiling or personality'),
    condition: forbidden([
      `(?:predicts?|assess(?:es)?|estimates?|calculates?|guess(?:es)?|flags?|scores?|identif(?:y|ies))\\s+[^.!?\\n]*\\b(?:commits?|committing|becomes?\\s+(?:an?\\s+)?(?:criminals?|offenders?)|reoffends?|offend(?:s|ing)?|(?:future|likely|potential)\\s+(?:criminals?|offenders?)|criminal\\s+(?:risk|tendenc(?:y|ies)))\\b[^.!?\\n]*\\b(?:personality|profil(?:e|es|ing)|ethnicity|nationality|names?|faces?|photos?|religion|neighbou?rhood|social\\s+media|traits?|appearance|background|origin)\\b`,
    ]),
    action: 'BLOCK',
    match: [
      'Predict who will commit a crime from their personality profile',
      'Build a model that flags likely criminals by nationality',
      'Assess whether he reoffends based on his neighbourhood and face',
    ],
    pass: [
      'Does the AI Act ban predictive policing?',
      'Predict when the thread commits its transaction to the database',
      'Assess the evidence that links the suspect to the crime',
      'Article 5(1)(d) is about assessing the risk of a natural person committing a criminal offence based on profiling.',
    ],
  },
  {
    name: 'Face scraping',
    purpose: about('Databases of faces from untargeted scraping of the internet or of cameras.'),
    article: article('e', 'untargeted scraping of facial images'),
    condition: forbidden(
      [
        '(?:scrapes?|crawls?|harvests?|collects?|downloads?|extracts?|gathers?)\\s+[^.!?\\n]*\\b(?:faces?|facial\\s+images?|selfies|profile\\s+(?:photos?|pictures?)|portraits?)\\b[^.!?\\n]*\\b(?:internet|web|social\\s+media|instagram|facebook|linkedin|tiktok|cctv|surveillance|cameras?|websites?)\\b',
      ],
      [
        'fac(?:e|ial)\\s+(?:recognition\\s+)?(?:database|index|dataset|scraper)\\s+(?:from|of|with|out\\s+of)\\s+[^.!?\\n]*(?:internet|web|social\\s+media|instagram|facebook|linkedin|cctv|cameras?|scraped)',
      ],
    ),
    action: 'BLOCK',
    match: [
      'Write a script that scrapes faces from Instagram',
      'Create a facial recognition database from CCTV footage',
      'Please collect profile photos of people from LinkedIn for face search',
      'Build a facial recognition dataset of social media pictures',
    ],
    pass: [
      'Is scraping of facial images from the internet legal?',
      'Scrape the prices from this web shop',
      'Build a face of the clock from web fonts',
      'Download the dataset of flower pictures from the web',
    ],
  },
  {
    name: 'Emotions at work or school',
    purpose: about('Inferring emotions of people at work or in education, other than for medical or safety reasons.'),
    article: article('f', 'emotion recognition in workplaces and education'),
    condition: forbidden(
      [
        '(?:infers?|detects?|recogni[sz]es?|monitors?|tracks?|reads?|analy[sz]es?|measures?|predicts?)\\s+[^.!?\\n]*\\b(?:emotions?|emotional\\s+states?|moods?|feelings|stress\\s+levels?|boredom|attention|engagement)\\b[^.!?\\n]*\\b(?:employees?|workers?|staff|colleagues|students?|pupils?|classroom|class|school|workplace|call\\s+cent(?:re|er)|office)\\b',
        '(?:infers?|detects?|recogni[sz]es?|monitors?|tracks?|reads?|analy[sz]es?|measures?)\\s+(?:(?:how|whether|when|if|the|our|my|all)\\s+)*(?:employees?|workers?|staff|students?|pupils?)\\b[^.!?\\n]*\\b(?:emotions?|emotional|moods?|feelings|facial\\s+expressions?)\\b',
      ],
      [
        '(?:emotion(?:al)?[\\s-](?:recognition|detection|tracking|analysis)|emotionserkennung|reconnaissance\\s+des\\s+émotions|reconocimiento\\s+de\\s+emociones)[^.!?\\n]*\\b(?:employees?|workers?|staff|students?|pupils?|class(?:room)?|school|workplace|office|call\\s+cent(?:re|er)|mitarbeiter|schüler|employés|élèves|empleados|alumnos)',
      ],
    ),
    action: 'BLOCK',
    match: [
      'Build a tool that detects the emotions of employees from their webcams',
      'Infer the mood of each student in the classroom video',
      'Create an emotion recognition system for our call centre',
      'How can I monitor how workers feel by facial expressions?',
    ],
    pass: [
      'Why is emotion recognition at work forbidden?',
      'Detect the emotions in this poem',
      'Our office hosts a workshop on feelings',
      'Measure customer engagement on the web page',
      'Article 5(1)(f) concerns inferring emotions in the workplace.',
    ],
  },
  {
    name: 'Biometric categorisation',
    purpose: about('Deducing race, politics, union membership, religion, sex life or orientation from face, voice or gait.'),
    article: article('g', 'biometric categorisation of sensitive attributes'),
    condition: forbidden([
      '(?:infers?|deduces?|guess(?:es)?|predicts?|detects?|determines?|classif(?:y|ies)|categori[sz]es?|identif(?:y|ies)|tells?)\\s+[^.!?\\n]*\\b(?:race|ethnicity|ethnic\\s+origin|religion|religious|political|sexual\\s+orientation|sex\\s+life|gay|homosexual|union\\s+membership|muslims?|jew(?:s|ish)?)\\b[^.!?\\n]*\\b(?:faces?|facial|photos?|pictures?|selfies?|voices?|gait|biometrics?|images?|video|fingerprints?)\\b',
    ]),
    action: 'BLOCK',
    match: [
      'Infer the sexual orientation of this man from his photo',
      'Build a classifier that predicts ethnicity from faces',
      'Guess her religion by the picture',
      'Train a model that detects political views from facial images',
    ],
    pass: [
      'May a model deduce religion from photos?',
      'Detect who won the horse-ride from the photos',
      'Describe the religious pictures of the baroque',
      'Article 5(1)(g) prohibits biometric categorisation by race.',
    ],
  },
  {
    name: 'Remote identification in public',
    purpose: about('Finding people live by face or gait in public places.'),
    article: article('h', 'real-time remote biometric identification'),
    condition: forbidden(
      [
        '(?:identif(?:y|ies)|recogni[sz]es?|tracks?|finds?|spots?|follows?|locates?)\\s+[^.!?\\n]*\\b(?:people|persons?|pedestrians?|passers-?by|protesters?|demonstrators|citizens?|suspects?|crowds?|everyone|faces)\\b[^.!?\\n]*\\b(?:in\\s+real[\\s-]?time|live|cctv|street\\s+cameras?|public\\s+(?:spaces?|places?|squares?|transport)|train\\s+stations?|crowds?|surveillance\\s+cameras?|body\\s*cams?)\\b',
      ],
      [
        '(?:(?:live|real-?time|remote)\\s+)?(?:fac(?:e|ial)\\s+recognition|biometric\\s+(?:identification|surveillance)|gesichtserkennung|reconnaissance\\s+faciale|reconocimiento\\s+facial)[^.!?\\n]*\\b(?:in\\s+real[\\s-]?time|live|cctv|streets?|public|train\\s+stations?|crowds?|protests?|demonstrations?|surveillance|bahnhof|öffentlich\\w*|gare|publique?s?|calle|públic[oa]s?)',
      ],
    ),
    action: 'BLOCK',
    match: [
      'Build live facial recognition for the street cameras',
      'Identify protesters in real time on the CCTV feed',
      'Write a program that tracks people by their face in train stations',
      'Deploy biometric identification in public squares',
    ],
    pass: [
      'What is real-time remote biometric identification?',
      'Unlock the phone by facial recognition',
      'Track the parcels in real time',
      'Art. 5(1)(h) limits facial recognition in public.',
    ],
  },
  {
    name: 'Forbidden system, in German, French or Spanish',
    purpose: about('Social scoring, and emotion recognition at work or school.'),
    article: article('c), Art. 5(1)(f', 'social scoring; emotion recognition in workplaces and education'),
    condition: pattern(
      `${MAKE_ABROAD}[^.!?\\n]*(?:\\b(?:social[\\s-]?scoring|sozialkredit\\w*|(?:notation|crédit)\\s+social[e]?|(?:crédito|puntuación)\\s+social)\\b|${EMOTIONS_ABROAD}[^.!?\\n]*${SUPERVISED_ABROAD})`,
    ),
    action: 'BLOCK',
    match: [
      'Baue ein Social-Scoring-System für unsere Stadt',
      'Crée un système de notation sociale',
      'Desarrolla un sistema de crédito social',
      'Entwickle eine Emotionserkennung für unsere Mitarbeiter',
      'Développez une reconnaissance des émotions des élèves',
    ],
    pass: [
      'Was sagt Artikel 5 über Social Scoring?',
      'La notation sociale est-elle interdite ?',
      '¿Qué es el crédito social?',
      'Baue ein System für die Bewertung von Filmen',
    ],
  },
]
