-- Who and what is there; days are counted from today. Every person is invented, every ID number belongs to no region.
INSERT INTO his.department VALUES
  ('D01','心血管内科','C1','本部','门诊楼3层','冠心病、高血压'), ('D02','儿科','C1','本部','门诊楼1层','0–14岁'),
  ('D03','骨科','C2','东院区','东院2层','骨折、关节');
INSERT INTO his.doctor VALUES
  ('E01','李卫国','主任医师','D01','冠心病介入',50.00), ('E02','张敏','副主任医师','D02','儿童哮喘',25.00),
  ('E03','赵磊','主治医师','D03','运动损伤',NULL);
INSERT INTO his.patient VALUES
  ('P0001','王小明','1','1985-03-12','01','990101198503120037','19900000001',0,200.00,NULL),
  ('P0002','李芳','2','1990-07-01','01','990101199007010024','19900000002',0,5.00,NULL),
  ('P0003','𠮷田䶮','1','1978-11-30','01','990101197811300019','19900000003',0,0,NULL),
  ('P0004','陈双生','2','2001-05-05','01','990101200105050066','19900000004',0,0,NULL),
  ('P0005','陈双全','2','2001-05-05','01','990101200105050066','19900000005',0,0,NULL),
  ('P0006','孙大爷','9',NULL,'01','990101193001010053','19900000006',1,0,NULL);
INSERT INTO his.card VALUES
  ('600000000001','P0001','01','1',NULL), ('600000000002','P0002','01','1',NULL), ('600000000003','P0003','01','1',NULL),
  ('600000000004','P0004','02','2',NULL), ('600000000005','P0005','7','8',NULL), ('600000000006','P0006','01','3',NULL);
INSERT INTO his.schedule VALUES
  ('S01',CURRENT_DATE,'1','E01','D01','专家号',50.00,'302','1'), ('S02',CURRENT_DATE,'2','E02','D02','普通号',25.00,'105','1'),
  ('S03',CURRENT_DATE + INTERVAL '1' DAY,'1','E01','D01','专家号',50.00,'302','1'),
  ('S04',CURRENT_DATE + INTERVAL '2' DAY,'2','E03','D03','普通号',12.50,'东201','0');
INSERT INTO his.slot (slot_id, schedule_id, starts_at, ends_at, total) VALUES
  ('S01-1','S01',CURRENT_DATE + INTERVAL '8' HOUR,CURRENT_DATE + INTERVAL '9' HOUR,20),
  ('S01-2','S01',CURRENT_DATE + INTERVAL '9' HOUR,CURRENT_DATE + INTERVAL '10' HOUR,1),
  ('S02-1','S02',CURRENT_DATE + INTERVAL '14' HOUR,CURRENT_DATE + INTERVAL '15' HOUR,5),
  ('S03-1','S03',CURRENT_DATE + INTERVAL '32' HOUR,CURRENT_DATE + INTERVAL '33' HOUR,20),
  ('S04-1','S04',CURRENT_DATE + INTERVAL '62' HOUR,CURRENT_DATE + INTERVAL '63' HOUR,5);
INSERT INTO his.registration VALUES
  ('R900','R','P0001','S02','S02-1','1',25.00,'balance',3,CURRENT_DATE + INTERVAL '7' HOUR,'seed-r900',NULL);
UPDATE his.slot SET taken = 1 WHERE slot_id = 'S02-1';
INSERT INTO his.money VALUES
  ('M900','top_up','P0001',NULL,NULL,200.00,200.00,'wechat','4200000000000001',CURRENT_DATE - INTERVAL '3' DAY,'seed-m900'),
  ('M901','prepay','P0002','Z0001',1,1000.00,NULL,'alipay','2026000000000001',CURRENT_DATE - INTERVAL '2' DAY,'seed-m901');
INSERT INTO his.visit VALUES
  ('V001','P0001',CURRENT_DATE - INTERVAL '10' DAY + INTERVAL '9' HOUR,'D01','E01','高血压病2级','头晕三天','三天前头晕',
   '无','血压160/95','低盐饮食');
INSERT INTO his.prescription VALUES ('V001',1,'氨氯地平片','5mg×28片','5mg','口服','qd',28,'1盒','RX1');
INSERT INTO his.charge VALUES
  ('F001','P0001','V001',NULL,NULL,'血常规','检验费','次',1,20.00,20.00,CURRENT_DATE - INTERVAL '10' DAY,'RX2','D01',NULL,0),
  ('F002','P0001','V001',NULL,NULL,'胸部正位片','检查费','次',1,85.50,85.50,CURRENT_DATE - INTERVAL '10' DAY,'RX3','D01',NULL,0),
  ('F003','P0001','V001',NULL,NULL,'氨氯地平片','西药费','盒',1,32.10,32.10,CURRENT_DATE - INTERVAL '10' DAY,'RX1','D01','I001',1),
  ('F101','P0002',NULL,'Z0001',1,'床位费','床位费','日',1,60.00,60.00,CURRENT_DATE - INTERVAL '1' DAY + INTERVAL '8' HOUR,NULL,'D02',NULL,0),
  ('F102','P0002',NULL,'Z0001',1,'0.9%氯化钠注射液','西药费','袋',2,3.45,6.90,CURRENT_DATE - INTERVAL '1' DAY + INTERVAL '9' HOUR,NULL,'D02',NULL,0),
  ('F103','P0002',NULL,'Z0001',1,'床位费','床位费','日',1,60.00,60.00,CURRENT_DATE - INTERVAL '2' DAY + INTERVAL '8' HOUR,NULL,'D02',NULL,0);
INSERT INTO his.report VALUES
  ('L001','P0001',NULL,'lab','血常规',CURRENT_DATE - INTERVAL '9' DAY,'1',CURRENT_DATE - INTERVAL '10' DAY,'周检验',NULL,NULL,NULL),
  ('X001','P0001',NULL,'imaging','胸部正位片',CURRENT_DATE - INTERVAL '9' DAY,'1',CURRENT_DATE - INTERVAL '10' DAY,'吴放射',
   '双肺纹理清晰','未见明显异常','1.2.840.99999.1'),
  ('L002','P0001',NULL,'lab','肝功能',NULL,'1',CURRENT_DATE - INTERVAL '1' DAY,NULL,NULL,NULL,NULL),
  ('L101','P0002','Z0001','lab','电解质',CURRENT_DATE - INTERVAL '1' DAY,'1',CURRENT_DATE - INTERVAL '2' DAY,'周检验',NULL,NULL,NULL);
INSERT INTO his.report_item VALUES
  ('L001',1,'白细胞','12.3','10^9/L','3.5','9.5',NULL,'↑'), ('L001',2,'血红蛋白','140','g/L','130','175',NULL,'N'),
  ('L001',3,'血小板','118','10^9/L','125','350',NULL,'偏低'), ('L001',4,'异型淋巴','见','','','','无','#?'),
  ('L101',1,'钾','3.1','mmol/L','3.5','5.3',NULL,'L'), ('L002',1,'ALT','80','U/L','9','50',NULL,'H');
INSERT INTO his.admission VALUES
  ('Z0001',1,'P0002','W01','儿科病区','12','儿科','张敏',CURRENT_DATE - INTERVAL '2' DAY,NULL,'I','W000000000001'),
  ('Z0002',1,'P0001','W02','心内病区','3','心血管内科','李卫国',CURRENT_DATE - INTERVAL '90' DAY,CURRENT_DATE - INTERVAL '80' DAY,'O','W000000000002');
INSERT INTO his.invoice VALUES
  ('I001','P0001',NULL,NULL,CURRENT_DATE - INTERVAL '10' DAY,32.10,10.10,20.00,2.00);
