-- PostgreSQL: accounts, and one function per write. Each decides by itself and answers ret_code, ret_message and the row.
CREATE FUNCTION palm.card_is(p_card text, p_patient text) RETURNS boolean LANGUAGE sql SECURITY DEFINER AS
  $$ SELECT EXISTS (SELECT 1 FROM his.card WHERE card_no = p_card AND patient_id = p_patient AND status = '1') $$;

CREATE FUNCTION palm.take(p_kind text, p_op_key text, p_patient text, p_card text, p_schedule text, p_slot text, p_fee numeric,
    p_method text, OUT ret_code text, OUT ret_message text, OUT shortfall numeric, OUT made palm.v_registration)
  LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_balance numeric; v_fee numeric; v_state text;
BEGIN
  ret_code := '0'; ret_message := '';
  SELECT balance INTO v_balance FROM his.patient WHERE patient_id = p_patient FOR UPDATE;  -- one order a patient at a time
  IF NOT FOUND OR NOT palm.card_is(p_card, p_patient) THEN ret_code := 'NOPATIENT'; ret_message := '卡不可用'; RETURN; END IF;
  SELECT * INTO made FROM palm.v_registration WHERE op_key = p_op_key;
  IF FOUND THEN ret_code := 'DUP'; RETURN; END IF;
  SELECT fee, state INTO v_fee, v_state FROM his.schedule WHERE schedule_id = p_schedule;
  IF NOT FOUND OR v_state <> '1' THEN ret_code := 'STOP'; ret_message := '已停诊'; RETURN; END IF;
  IF p_fee IS NOT NULL AND p_fee <> v_fee THEN ret_code := 'FEE'; ret_message := '挂号费已变'; RETURN; END IF;
  IF p_method = 'balance' AND v_balance < v_fee THEN
    ret_code := 'SHORT'; ret_message := '余额不足'; shortfall := v_fee - v_balance; RETURN;
  END IF;
  UPDATE his.slot SET taken = taken + 1 WHERE slot_id = p_slot AND schedule_id = p_schedule AND taken < total;
  IF NOT FOUND THEN ret_code := 'FULL'; ret_message := '号已满'; RETURN; END IF;
  IF p_method = 'balance' THEN UPDATE his.patient SET balance = balance - v_fee WHERE patient_id = p_patient; END IF;
  INSERT INTO his.registration VALUES ('R' || nextval('his.numbers'), p_kind, p_patient, p_schedule, p_slot, '1', v_fee,
    p_method, CASE WHEN p_kind = 'R' THEN (SELECT COUNT(*) + 1 FROM his.registration WHERE schedule_id = p_schedule) END,
    LOCALTIMESTAMP(0), p_op_key, NULL);
  SELECT * INTO made FROM palm.v_registration WHERE op_key = p_op_key;
END $$;

CREATE FUNCTION palm.give_back(p_kind text, p_op_key text, p_patient text, p_number text,
    OUT ret_code text, OUT ret_message text, OUT made palm.v_registration) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v his.registration;
BEGIN
  ret_code := '0'; ret_message := '';
  SELECT * INTO v FROM his.registration WHERE reg_no = p_number AND patient_id = p_patient AND kind = p_kind FOR UPDATE;
  IF NOT FOUND THEN ret_code := 'NONE'; RETURN; END IF;
  IF v.cancel_key = p_op_key THEN ret_code := 'DUP';
  ELSIF v.state <> '1' THEN ret_code := 'LATE'; ret_message := '不可退'; RETURN;
  ELSE
    UPDATE his.registration SET state = '3', cancel_key = p_op_key WHERE reg_no = p_number;
    UPDATE his.slot SET taken = taken - 1 WHERE slot_id = v.slot_id;
    IF v.paid_by = 'balance' THEN UPDATE his.patient SET balance = balance + v.fee WHERE patient_id = p_patient; END IF;
  END IF;
  SELECT * INTO made FROM palm.v_registration WHERE reg_no = p_number;
END $$;

CREATE FUNCTION palm.credit(p_op text, p_op_key text, p_patient text, p_card text, p_admission text, p_seq integer,
    p_amount numeric, p_method text, p_trade_no text, OUT ret_code text, OUT ret_message text, OUT made palm.v_money)
  LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_balance numeric;
BEGIN
  ret_code := '0'; ret_message := '';
  SELECT balance INTO v_balance FROM his.patient WHERE patient_id = p_patient FOR UPDATE;
  IF NOT FOUND OR (p_op = 'top_up' AND NOT palm.card_is(p_card, p_patient)) OR (p_op = 'prepay' AND NOT EXISTS (
      SELECT 1 FROM his.admission WHERE admission_no = p_admission AND admission_seq = p_seq AND patient_id = p_patient AND status = 'I'))
    THEN ret_code := 'NOPATIENT'; ret_message := '卡或住院号不可用'; RETURN; END IF;
  SELECT * INTO made FROM palm.v_money WHERE op_key = p_op_key;
  IF FOUND THEN ret_code := 'DUP'; RETURN; END IF;
  IF p_op = 'top_up' THEN
    UPDATE his.patient SET balance = balance + p_amount WHERE patient_id = p_patient RETURNING balance INTO v_balance;
  ELSE v_balance := NULL; END IF;
  INSERT INTO his.money VALUES ('M' || nextval('his.numbers'), p_op, p_patient, p_admission, p_seq, p_amount, v_balance,
    p_method, p_trade_no, LOCALTIMESTAMP(0), p_op_key);
  SELECT * INTO made FROM palm.v_money WHERE op_key = p_op_key;
END $$;

CREATE FUNCTION palm.create_card(p_op_key text, p_name text, p_sex text, p_born date, p_id_type text, p_id_no text, p_phone text,
    OUT ret_code text, OUT ret_message text, OUT card_no text, OUT kind text, OUT status text, OUT made palm.v_patient)
  LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext(p_id_no));
  IF EXISTS (SELECT 1 FROM his.card c WHERE c.op_key = p_op_key) THEN ret_code := 'DUP'; RETURN; END IF;
  IF EXISTS (SELECT 1 FROM his.patient p WHERE p.id_no = p_id_no) THEN ret_code := 'EXISTS'; ret_message := '已有就诊卡'; RETURN; END IF;
  ret_code := '0'; ret_message := ''; card_no := '600000' || nextval('his.numbers'); kind := '01'; status := '1';
  INSERT INTO his.patient VALUES ('P' || nextval('his.numbers'), p_name, p_sex, p_born, p_id_type, p_id_no, p_phone, 0, 0, p_op_key);
  INSERT INTO his.card SELECT create_card.card_no, p.patient_id, '01', '1', p_op_key FROM his.patient p WHERE p.op_key = p_op_key;
  SELECT v.* INTO made FROM palm.v_patient v JOIN his.patient p ON p.patient_id = v.patient_id WHERE p.op_key = p_op_key;
END $$;

-- The mistake that sells a slot twice: look, think, then write what was seen. The tests' control.
CREATE FUNCTION palm.careless_take(p_op_key text, p_patient text, p_schedule text, p_slot text, OUT ret_code text,
    OUT ret_message text, OUT made palm.v_registration) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_taken integer; v_total integer;
BEGIN
  SELECT taken, total INTO v_taken, v_total FROM his.slot WHERE slot_id = p_slot;
  IF v_taken >= v_total THEN ret_code := 'FULL'; ret_message := ''; RETURN; END IF;
  PERFORM pg_sleep(0.05);
  UPDATE his.slot SET taken = v_taken + 1 WHERE slot_id = p_slot;
  INSERT INTO his.registration VALUES ('R' || nextval('his.numbers'), 'R', p_patient, p_schedule, p_slot, '1', 0, 'none', 1,
    LOCALTIMESTAMP(0), p_op_key, NULL);
  ret_code := '0'; ret_message := '';
  SELECT * INTO made FROM palm.v_registration WHERE op_key = p_op_key;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA palm FROM PUBLIC;
CREATE ROLE palm_read LOGIN PASSWORD 'read-only-of-tests';
CREATE ROLE palm_write LOGIN PASSWORD 'write-of-tests';
GRANT USAGE ON SCHEMA palm TO palm_read, palm_write;
GRANT SELECT ON ALL TABLES IN SCHEMA palm TO palm_read;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA palm TO palm_write;
